r"""Pictures of a posterior over models: how many variables, which models, which pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from l0bayes import validate
from l0bayes.plots.style import ACCENT, GROUP, IN, INK
from l0bayes.plots.variable_rows import legend_below, shorten_all
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.summaries.top_models import top_models

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_joint_inclusion", "plot_model_size", "plot_top_models"]

# More bars than these have neither gaps between them nor a dot of the prior on each.
_FEW_SIZES = 40


def plot_model_size(posterior: SelectionPosterior, *, ax: Axes | None = None) -> Axes:
    """Number of variables in the model, after the data and before.

    A factor or another group of columns behind one gate counts as one variable. Shown are the sizes that
    hold the posterior, and those that hold the bulk of the prior where these are not many more.

    Args:
        posterior: What an engine found.
        ax: Axes to draw on.

    Returns:
        The axes.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax = _axes(ax, (5.6, 3.8))
    count = posterior.problem.num_groups
    after = posterior.size_probabilities.double().numpy()
    before = posterior.problem.prior.size_probabilities(count).numpy()
    means = [float(mass @ np.arange(count + 1)) for mass in (after, before)]
    low, high = _sizes_to_show(after, before)
    sizes = np.arange(low, high + 1)
    few = len(sizes) <= _FEW_SIZES
    ax.bar(
        sizes,
        after[sizes],
        color=IN,
        width=0.8 if few else 1.0,
        label=f"posterior, mean {means[0]:.1f}",
    )
    beyond = "" if before[sizes].sum() > 0.5 else ", most of it beyond the picture"
    ax.plot(
        sizes,
        before[sizes],
        color=ACCENT,
        marker="o" if few else "",
        ms=3.5,
        lw=1.2,
        label=f"prior, mean {means[1]:.1f}{beyond}",
    )
    ax.set_xlim(low - 0.6, high + 0.6)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100.0 * value:g}%"))
    ax.set(xlabel=f"variables in the model, of {count}", ylabel="probability", title="Model size")
    legend_below(ax)
    return ax


def _sizes_to_show(after: np.ndarray, before: np.ndarray) -> tuple[int, int]:
    low, high = _bulk(after, 1e-3)
    prior_low, prior_high = _bulk(before, 0.02)
    if max(high, prior_high) - min(low, prior_low) <= max(_FEW_SIZES, 4 * (high - low)):
        low, high = min(low, prior_low), max(high, prior_high)
    low = max(low - 1, 0)
    return low, min(max(high + 1, low + 5), len(after) - 1)


def _bulk(mass: np.ndarray, tail: float) -> tuple[int, int]:
    """First and last size between tails of this probability."""
    below = np.cumsum(mass) / mass.sum()
    low, high = np.searchsorted(below, [tail, 1.0 - tail])
    return int(low), int(min(high, len(mass) - 1))


def plot_top_models(
    posterior: SelectionPosterior,
    names: Sequence[str] | None = None,
    *,
    max_models: int = 20,
    max_rows: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """The most probable models as an image: a column is a model, as wide as it is probable.

    Colours give the sign of the posterior mean; a group of several columns has none. Models and
    probabilities are those of :func:`~l0bayes.selection.summaries.top_models.top_models`.

    Args:
        posterior: What an engine found.
        names: Names of the gates; by default their numbers.
        max_models: Most models to show.
        max_rows: Most variables to show: of those in any of these models, the ones that weigh most.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If there is not a name for every gate, or a number is not positive.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    labels = _names(posterior, names)
    validate.at_least(1, max_models=max_models, max_rows=max_rows)
    gates, probabilities, total = _top(posterior, max_models)
    weight = probabilities @ gates
    inside = np.nonzero(weight > 0.0)[0]
    chosen = inside[np.argsort(-weight[inside], kind="stable")][:max_rows]
    letters = max((len(text) for text in shorten_all([labels[index] for index in chosen])), default=0)
    ax = _axes(ax, (6.8 + 0.07 * max(0, letters - 12), 1.7 + 0.24 * max(len(chosen), 2)))
    kinds = _signs(posterior)
    image = gates[:, chosen].T * kinds[chosen][:, None]
    edges = np.concatenate([[0.0], np.cumsum(probabilities)])
    if len(chosen):
        colours = ListedColormap(["#ffffff", IN, ACCENT, GROUP])
        ax.pcolormesh(
            edges, np.arange(len(chosen) + 1) - 0.5, image, cmap=colours, vmin=-0.5, vmax=3.5, rasterized=True
        )
    ax.vlines(edges, -0.5, max(len(chosen), 1) - 0.5, color="white", lw=0.6)
    ax.set_yticks(np.arange(len(chosen)), shorten_all([labels[index] for index in chosen]))
    ax.set_ylim(max(len(chosen), 1) - 0.5, -0.5)
    ax.set_xlim(0.0, edges[-1])
    ax.set(title=_held(len(probabilities), total, edges[-1]), xlabel="probability, models side by side")
    if not len(chosen):
        ax.text(0.5, 0.5, "The empty model", transform=ax.transAxes, ha="center", va="center")
    words = {1: "in, positive", 2: "in, negative", 3: "in, a group of columns"}
    colour = {1: IN, 2: ACCENT, 3: GROUP}
    handles = [Patch(color=colour[kind], label=words[kind]) for kind in words if (image == kind).any()]
    if handles:
        ax.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small"
        )
    left_out = len(inside) - len(chosen)
    if left_out:
        ax.set_ylabel(f"{len(chosen)} of {len(inside)} variables in them")
    return ax


def plot_joint_inclusion(
    posterior: SelectionPosterior,
    names: Sequence[str] | None = None,
    *,
    max_rows: int = 15,
    ax: Axes | None = None,
) -> Axes:
    """Heat map of the probability that two variables are in the model together.

    The diagonal is the inclusion probability. Two variables that stand in for one another each have a
    sizeable number on the diagonal and nearly nothing where they meet.

    Args:
        posterior: What an engine found.
        names: Names of the gates; by default their numbers.
        max_rows: Most variables to show, the most probable.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If there is not a name for every gate, or ``max_rows`` is not positive.
    """
    labels = _names(posterior, names)
    validate.at_least(1, max_rows=max_rows)
    pip = posterior.pip.double().numpy()
    chosen = np.argsort(-pip, kind="stable")[:max_rows]
    joint = posterior.joint.double().numpy()[np.ix_(chosen, chosen)].copy()
    np.fill_diagonal(joint, pip[chosen])
    count = len(chosen)
    side = 2.6 + 0.36 * count
    ax = _axes(ax, (side + 1.0, side))
    lower = np.ma.masked_where(np.triu(np.ones((count, count), dtype=bool), 1), joint)
    image = ax.imshow(lower, vmin=0.0, vmax=1.0, cmap="Blues")
    for row in range(count):
        for column in range(row + 1):
            value = joint[row, column]
            text = "1" if value >= 0.995 else f"{value:.2f}".lstrip("0") if value >= 0.005 else "0"
            ax.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize="x-small",
                color="white" if value > 0.55 else INK,
            )
    ax.figure.colorbar(image, ax=ax, label="P(both in the model)", shrink=0.8)
    ticks = shorten_all([labels[index] for index in chosen], 24)
    ax.set_xticks(np.arange(count), ticks, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(count), ticks)
    ax.spines[["top", "right"]].set_visible(False)
    part = "" if count == len(pip) else f": {count} most probable of {len(pip)}"
    ax.set_title(f"Joint inclusion{part}")
    return ax


def _top(posterior: SelectionPosterior, most: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Gates and probabilities of the most probable models, and how many there are in the sample."""
    models, probabilities = top_models(posterior, most)
    return models.double().numpy(), probabilities.numpy(), len(torch.unique(posterior.draws.gates, dim=0))


def _held(shown: int, seen: int, probability: float) -> str:
    if seen == 1:
        return f"The only model seen holds {probability:.0%}"
    which = f"The {shown} most probable of {seen} models seen" if seen > shown else f"The {seen} models seen"
    return f"{which} hold {probability:.0%}"


def _signs(posterior: SelectionPosterior) -> np.ndarray:
    """Of every gate: 1 for a positive mean, 2 for a negative one, 3 for several columns."""
    mean = posterior.mean.tolist()
    kinds = [
        3 if len(columns) > 1 else (2 if mean[columns[0]] < 0.0 else 1)
        for columns in posterior.problem.group_columns
    ]
    return np.array(kinds)


def _names(posterior: SelectionPosterior, names: Sequence[str] | None) -> list[str]:
    count = posterior.problem.num_groups
    labels = [str(name) for name in (range(count) if names is None else names)]
    if len(labels) != count:
        raise ValueError(f"names must hold one name for each of {count} gates, got {len(labels)}")
    return labels


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained")
    return ax
