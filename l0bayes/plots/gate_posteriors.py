r"""Pictures of gates: bars and images, never density estimates, which would smear the atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from l0bayes.plots.style import ACCENT, IN, INK, OUT
from l0bayes.plots.variable_rows import halo, label_rows, rows_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from l0bayes.infer.loop.fit_result import Fit

__all__ = ["plot_effects", "plot_gate_map", "plot_pips", "plot_training"]


def plot_pips(table: pd.DataFrame, *, max_rows: int = 30, ax: Axes | None = None) -> Axes:
    """Bars of posterior inclusion probabilities with the line at one half.

    Bars of the median model are dark. The prior is a tick on each bar; where there are several
    restarts, a whisker spans what they found.

    Args:
        table: From :func:`l0bayes.gate_table`.
        max_rows: Show at most this many, the most probable.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If the table is empty or no gate table.
    """
    shown, ax = _rows(table, max_rows, ax)
    rows = np.arange(len(shown))
    colours = [IN if inside else OUT for inside in shown["in_median_model"]]
    ax.barh(rows, shown["pip"], color=colours, height=0.72)
    if "pip_low" in shown:
        ax.hlines(
            rows,
            shown["pip_low"],
            shown["pip_high"],
            color=INK,
            lw=1.2,
            label="range over restarts",
            path_effects=halo(),
        )
    ax.scatter(shown["prior"], rows, marker="|", s=60, color=ACCENT, zorder=3, label="prior")
    ax.axvline(0.5, color=INK, lw=0.8, ls="--", label="median model")
    label_rows(ax, shown)
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel("posterior inclusion probability")
    ax.set_title(rows_title("Inclusion", shown, table))
    ax.legend(loc="lower right", frameon=False)
    return ax


def plot_effects(table: pd.DataFrame, *, max_rows: int = 20, ax: Axes | None = None) -> Axes:
    """Forest of effects: the weight with its zeros, and what it is where its gate is open.

    The line is the interval of the effective weight, the dot its mean; a hollow diamond marks the mean
    given an open gate. The dot grows with P(z != 0).

    Args:
        table: From :func:`l0bayes.gate_table`.
        max_rows: Show at most this many, the most probable.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If the table is empty or no gate table.
    """
    shown, ax = _rows(table, max_rows, ax)
    rows = np.arange(len(shown))
    ax.axvline(0.0, color=OUT, lw=0.8, zorder=0)
    ax.hlines(rows, shown["hdi_low"], shown["hdi_high"], color=IN, lw=1.8, label="interval, zeros included")
    sizes = 12.0 + 48.0 * shown["pip"].to_numpy()
    ax.scatter(shown["mean"], rows, s=sizes, color=IN, zorder=3, label="mean, area grows with P(z ≠ 0)")
    ax.scatter(
        shown["mean_active"],
        rows,
        marker="D",
        s=22,
        facecolors="none",
        edgecolors=ACCENT,
        label="mean if open",
    )
    label_rows(ax, shown)
    ax.set_xlabel("effective weight")
    ax.set_title("Effects")
    ax.legend(loc="lower right", frameon=False, fontsize="small")
    return ax


def _rows(table: pd.DataFrame, max_rows: int, ax: Axes | None) -> tuple[pd.DataFrame, Axes]:
    import matplotlib.pyplot as plt

    if "pip" not in table or table.empty:
        raise ValueError("table must be a gate table with at least one row, as l0bayes.gate_table gives")
    shown = table.sort_values("pip", ascending=False).head(max_rows)
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 0.9 + 0.22 * len(shown)), layout="constrained")
    return shown, ax


def plot_gate_map(
    probabilities: Any, shape: tuple[int, int], *, ax: Axes | None = None, title: str = "P(input is used)"
) -> Axes:
    """Gate probabilities of an image's pixels as a picture.

    Light is a high probability, by a colour bar; where every gate is decided there are two colours, and a
    legend of two words.

    Args:
        probabilities: P(z != 0) of every pixel, a tensor or array of ``height * width`` elements.
        shape: Height and width.
        ax: Axes to draw on.
        title: Title of the picture.

    Returns:
        The axes.

    Raises:
        ValueError: If the number of probabilities is not height times width.
    """
    import matplotlib.pyplot as plt

    if isinstance(probabilities, torch.Tensor):
        probabilities = probabilities.detach().cpu().numpy()
    values = np.asarray(probabilities)
    if values.size != shape[0] * shape[1]:
        raise ValueError(f"probabilities must hold {shape[0]} x {shape[1]} values, got {values.size}")
    if ax is None:
        _, ax = plt.subplots(figsize=(4.4, 3.6), layout="constrained")
    image = ax.imshow(values.reshape(shape), vmin=0.0, vmax=1.0, cmap="viridis")
    if np.isclose(values, np.round(values), rtol=0.0, atol=1e-4).all():
        _two_words(ax, image)
    else:
        ax.figure.colorbar(image, ax=ax, label="P(z ≠ 0)")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title)
    return ax


def _two_words(ax: Axes, image: AxesImage) -> None:
    """What light and dark mean, where nothing is between them."""
    from matplotlib.patches import Patch

    words = ((1.0, "used"), (0.0, "unused"))
    patches = [Patch(fc=image.cmap(value), ec=INK, lw=0.6, label=word) for value, word in words]
    ax.legend(
        handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=len(patches), frameon=False
    )


def plot_training(fit: Fit, *, axes: Any = None) -> Any:
    """ELBO, and expected and deployed L0, over the steps of every restart.

    Args:
        fit: The fit.
        axes: Two axes to draw on.

    Returns:
        The two axes.

    Raises:
        ValueError: If the fit has no history.
    """
    import matplotlib.pyplot as plt

    if not fit.history.step:
        raise ValueError("fit has no history: the guide was trained elsewhere")
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(9.0, 3.4), layout="constrained")
    left, right = axes
    for run in fit.restarts:
        best = run is fit.best
        style: dict[str, Any] = {"lw": 1.6 if best else 0.8, "alpha": 1.0 if best else 0.5}
        steps, history = run.history.step, run.history
        left.plot(steps, history.elbo, color=IN, **style)
        right.plot(steps, history.expected_l0, color=IN, label="expected" if best else None, **style)
        right.plot(steps, history.deployed_l0, color=ACCENT, label="deployed" if best else None, **style)
    elbos = np.concatenate([np.asarray(run.history.elbo) for run in fit.restarts])
    low, high = np.quantile(elbos, [0.05, 1.0])
    if low < high:
        left.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    left.set(xlabel="step", ylabel="nats", title="ELBO" if fit.objective.is_bound else "Objective")
    right.set(xlabel="step", ylabel="open gates", title=f"L0 of {fit.num_gates} gates", ylim=(0, None))
    right.legend(frameon=False)
    return axes
