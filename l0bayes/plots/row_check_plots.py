r"""Pictures of how the rows of a fit look beside the fitted model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes.plots.style import ACCENT, IN, INK, OUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_predictive_check", "plot_residuals"]

_BINS = 10
_SHOWN = 60


def plot_residuals(checks: Any, *, ax: Axes | None = None) -> Axes:
    """Residuals against expected responses; influential rows are marked.

    Residuals are on the scale of a standard Normal law, whatever the likelihood: where the model holds, one
    in twenty is beyond the dashed lines, and neither middle nor spread changes from left to right.

    Args:
        checks: From ``row_checks()`` of an estimator.
        ax: Axes to draw on.

    Returns:
        The axes.
    """
    ax = _axes(ax)
    rows = checks.rows
    ax.scatter(rows["mean"], rows["residual"], s=9, color=IN, alpha=0.6, lw=0)
    marked = rows[rows["influential"]]
    if len(marked):
        place = (marked["mean"], marked["residual"])
        ax.scatter(*place, s=42, facecolors="none", edgecolors=ACCENT, label="influential")
        for number, row in marked.head(_BINS).iterrows():
            spot = (row["mean"], row["residual"])
            ax.annotate(
                str(number), spot, color=ACCENT, fontsize=7, xytext=(4, 3), textcoords="offset points"
            )
        ax.legend(frameon=False)
    ax.axhline(0.0, color=INK, lw=0.8)
    for end in (-1.96, 1.96):
        ax.axhline(end, color=INK, lw=0.8, ls="--")
    what = "expected probability of the second class" if checks.classes else "expected response"
    ax.set(xlabel=what, ylabel="residual, in Normal quantiles", title="Residuals")
    return ax


def plot_predictive_check(checks: Any, *, ax: Axes | None = None) -> Axes:
    """The responses beside responses drawn from the fitted model.

    Of numbers, the share at or below each value: that of the data should run within those of the draws. Of
    classes, the share of the second class among rows of like probability.

    Args:
        checks: From ``row_checks()`` of an estimator.
        ax: Axes to draw on.

    Returns:
        The axes.
    """
    ax = _axes(ax)
    return _of_classes(checks, ax) if checks.classes else _of_numbers(checks, ax)


def _of_numbers(checks: Any, ax: Axes) -> Axes:
    y = np.sort(checks.rows["y"].to_numpy(float))
    share = np.arange(1, len(y) + 1) / len(y)
    for number, drawn in enumerate(checks.replicated[:_SHOWN]):
        label = "drawn from the model" if not number else None
        ax.step(np.sort(drawn), share, where="post", color=OUT, lw=0.5, alpha=0.7, label=label)
    ax.step(y, share, where="post", color=IN, lw=1.8, label="the data")
    low, high = np.quantile(checks.replicated, [0.001, 0.999])
    ax.set_xlim(min(low, y[0]), max(high, y[-1]))
    ax.set(xlabel="response", ylabel="share at or below", title="Posterior predictive check")
    ax.legend(frameon=False)
    return ax


def _of_classes(checks: Any, ax: Axes) -> Axes:
    mean, y = checks.rows["mean"].to_numpy(float), checks.rows["y"].to_numpy(float)
    edges = np.unique(np.quantile(mean, np.linspace(0.0, 1.0, _BINS + 1)))
    which = np.clip(np.searchsorted(edges, mean, side="right") - 1, 0, max(0, len(edges) - 2))
    for number in np.unique(which):
        rows = which == number
        drawn = np.quantile(checks.replicated[:, rows].mean(1), [0.05, 0.95])
        ax.vlines(mean[rows].mean(), *drawn, color=OUT, lw=5)
        ax.plot(mean[rows].mean(), y[rows].mean(), "o", color=IN, ms=5)
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8, ls="--")
    ax.set(xlabel="expected probability of the second class", ylabel="share of rows that have it")
    ax.set_title("Posterior predictive check, with 90 % of draws")
    return ax


def _axes(ax: Axes | None) -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(5.6, 3.8), layout="constrained")[1] if ax is None else ax
