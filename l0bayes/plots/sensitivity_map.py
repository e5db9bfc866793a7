r"""A map of inclusion probabilities over priors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes import validate
from l0bayes.plots.style import ACCENT, INK
from l0bayes.plots.variable_rows import shorten_all

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["plot_sensitivity"]

_MOST_LABELS = 8


def plot_sensitivity(table: pd.DataFrame, *, most: int = 20, ax: Axes | None = None) -> Axes:
    """PIPs of the variables, a row each, under every prior, a column each.

    Columns are ordered as the axes of the table are, the first varying fastest, with a line between blocks
    in which it runs through its values. Variables that cross the threshold under some prior come first, with
    their names in the colour of what stands out; a triangle marks the prior of the fit. Where nothing is
    known cells are blank.

    Args:
        table: From ``sensitivity()`` of an estimator.
        most: Number of variables shown at most.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If ``most`` is not positive.
    """
    import matplotlib.pyplot as plt

    validate.at_least(1, most=most)
    axes, threshold = list(table.attrs["axes"]), float(table.attrs["threshold"])
    priors = table[[*axes, "own_prior"]].drop_duplicates(axes)
    priors = priors.sort_values(axes[::-1], key=_in_order, kind="stable")
    wide = table.pivot_table(index="variable", columns=axes, values="pip", sort=False, dropna=False)
    columns = list(priors[axes].itertuples(index=False, name=None))
    values = wide.reindex(columns=columns).to_numpy(float)
    low, high = np.nanmin(values, 1, initial=1.0), np.nanmax(values, 1, initial=0.0)
    crosses = (low <= threshold) & (high > threshold)
    order = np.lexsort((-np.nan_to_num(values).mean(1), ~crosses))[:most]
    if ax is None:
        letters = max((len(text) for text in shorten_all([str(wide.index[row]) for row in order])), default=0)
        # Wide enough for names on the left, and for title and labels of few columns.
        width = min(11.0, max(5.4, 2.0 + 0.14 * len(columns)) + 0.07 * letters)
        size = (width, 1.7 + 0.26 * len(order))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    image = ax.imshow(np.ma.masked_invalid(values[order]), aspect="auto", cmap="cividis", vmin=0.0, vmax=1.0)
    names = [str(wide.index[row]) for row in order]
    ax.set_yticks(range(len(order)), shorten_all(names))
    for label, row in zip(ax.get_yticklabels(), order, strict=True):
        label.set_color(ACCENT if crosses[row] else INK)
    _outline(ax, values[order] > threshold)
    fast = priors[axes[0]].nunique()
    starts = list(range(0, len(columns), fast))
    for start in starts[1:]:
        ax.axvline(start - 0.5, color="white", lw=1.5)
    _label(ax, columns, axes, starts, fast)
    own = priors["own_prior"].to_numpy(bool).nonzero()[0]
    ax.plot(own, np.full(len(own), -0.75), marker="v", ls="", color=ACCENT, clip_on=False)
    ax.set_ylim(len(order) - 0.5, -0.5)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, fraction=0.05)
    bar.set_label("PIP")
    bar.ax.axhline(threshold, color=ACCENT, lw=1.5)
    ax.set_title("PIP under other priors (▾ that of the fit)", pad=14)
    return ax


def _in_order(values: Any) -> Any:
    """Numbers by size, words as they come."""
    if values.dtype.kind in "if":
        return values
    order = {word: place for place, word in enumerate(dict.fromkeys(values))}
    return values.map(order)


def _outline(ax: Axes, above: Any) -> None:
    """A line between cells above the threshold and others of the same variable."""
    rows, places = (above[:, 1:] != above[:, :-1]).nonzero()
    ax.vlines(places + 0.5, rows - 0.5, rows + 0.5, color=ACCENT, lw=1.2)


def _label(ax: Axes, columns: list[Any], axes: list[str], starts: list[int], fast: int) -> None:
    """Names of blocks under the map; of the columns in them where these are few."""
    middle = [start + 0.5 * (fast - 1) for start in starts]
    words = [_told(columns[start][1:]) for start in starts]
    ax.set_xticks(middle, words, rotation=90 if len(starts) > _MOST_LABELS // 2 else 0, fontsize=7)
    told = _told([column[0] for column in columns[:fast]])
    shown = f"{axes[0]} from left to right in each block: {told}"
    ax.set_xlabel(f"{' · '.join(axes[1:])}\n{shown}", fontsize=8)


def _told(values: Any) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
