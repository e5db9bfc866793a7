r"""Inclusion probabilities of several methods, a panel each, beside a reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes import validate
from l0bayes.plots.style import ACCENT, IN, INK, OUT
from l0bayes.plots.variable_rows import halo, label_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["plot_compared_pips"]


def plot_compared_pips(
    panels: Mapping[str, pd.Series[float]],
    reference: pd.Series[float],
    *,
    reference_name: str = "reference",
    ranges: Mapping[str, pd.DataFrame] | None = None,
    max_rows: int = 16,
    axes: Any = None,
) -> Any:
    """A panel of bars for each method, with the reference as a diamond on every bar.

    A bar is dark where it is above one half. Rows are the most probable variables by the reference or by any
    of the methods, so that neither what was missed nor what was made up is left out.

    Args:
        panels: Inclusion probabilities by the name of the method, indexed by variable.
        reference: Those to compare with, for the same variables.
        reference_name: What to call them.
        ranges: Lower and upper ends of a whisker, in two columns, for methods that have any.
        max_rows: Show at most this many variables.
        axes: Axes to draw on, one a method.

    Returns:
        The axes, an array.

    Raises:
        ValueError: If there is no method or no variable, or a method lacks a variable of the reference.
    """
    import matplotlib.pyplot as plt
    import pandas as pd
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    validate.at_least(1, max_rows=max_rows)
    if not panels or reference.empty:
        raise ValueError("panels must name a method at least, and reference must have a variable at least")
    for name, values in panels.items():
        if lacks := [str(label) for label in reference.index if label not in values.index]:
            raise ValueError(f"panels must have every variable of reference; {name!r} lacks {lacks}")
    together = pd.concat([reference, *(values[reference.index] for values in panels.values())], axis=1)
    largest = together.max(axis=1).nlargest(max_rows).index
    shown = reference[largest].sort_values(ascending=False, kind="stable")
    rows = np.arange(len(shown))
    if axes is None:
        size = (1.6 + 3.0 * len(panels), 1.3 + 0.24 * len(shown))
        _, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained")
        axes = axes[0]
    for ax, (name, values) in zip(axes, panels.items(), strict=True):
        pip = values[shown.index].to_numpy(float)
        ax.barh(rows, pip, color=[IN if value > 0.5 else OUT for value in pip], height=0.72)
        if ranges is not None and name in ranges:
            low, high = ranges[name].loc[shown.index].to_numpy(float).T
            ax.hlines(rows, low, high, color=INK, lw=1.2, path_effects=halo())
        ax.scatter(
            shown,
            rows,
            marker="D",
            s=26,
            color=ACCENT,
            edgecolors="white",
            linewidths=0.7,
            zorder=3,
            clip_on=False,
        )
        ax.axvline(0.5, color=INK, lw=0.8, ls="--")
        ax.set(xlim=(0.0, 1.0), title=name, xlabel="PIP")
    label_rows(axes[0], shown.to_frame())
    handles: list[Any] = [Rectangle((0, 0), 1, 1, color=IN), Rectangle((0, 0), 1, 1, color=OUT)]
    labels = ["above ½", "below ½"]
    if ranges:
        handles.append(Line2D([], [], color=INK, lw=1.2))
        labels.append("range over starts")
    handles.append(Line2D([], [], color=ACCENT, marker="D", ls="", ms=5))
    labels.append(reference_name)
    axes[0].figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize="small"
    )
    return axes
