r"""The picture of a calibration before data: what was promised, and what came true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes.plots.style import ACCENT, IN, INK, OUT, colour_cycle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from l0bayes.selection.calibrate.calibration_result import Calibration

__all__ = ["plot_calibration"]


def plot_calibration(calibration: Calibration, *, axes: Any = None) -> Any:
    """Inclusion probabilities against what came true, ranks of true coefficients, and power.

    Left: by tenths of the PIP the share of gates that were open, with bars where it lies in 95 of 100
    calibrations of right posteriors. Middle: the ECDF of the ranks of true coefficients among draws of their
    posterior, less that of uniform ranks; a right curve stays within the band all along in 95 of 100. A slope
    says that intervals lie on one side, an S that they are too narrow or too wide. Right: the share of
    effects that each rule of selection finds, by their size.

    Args:
        calibration: From ``calibrate(X)`` of an estimator.
        axes: Three axes to draw on.

    Returns:
        The three axes.

    Raises:
        ValueError: If there are not three axes.
    """
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, 3, figsize=(12.0, 3.8), layout="constrained")[1]
    if len(axes) != 3:
        raise ValueError(f"axes must be three, got {len(axes)}")
    _reliability(axes[0], calibration)
    _ranks(axes[1], calibration)
    _power(axes[2], calibration)
    return axes


def _reliability(ax: Axes, calibration: Calibration) -> None:
    table = calibration.reliability
    table = table[table["count"] > 0]
    ax.plot([0.0, 1.0], [0.0, 1.0], color=INK, lw=0.8, ls="--", zorder=1, label="as promised")
    ax.vlines(table["promised"], table["low"], table["high"], color=OUT, lw=6.0, label="95 % if right")
    out = (table["realised"] < table["low"]) | (table["realised"] > table["high"])
    sizes = 12.0 + 90.0 * table["count"] / table["count"].max()
    colours = np.where(out, ACCENT, IN)
    ax.scatter(table["promised"], table["realised"], sizes, colours, zorder=3, clip_on=False)
    ax.set(
        xlim=(0.0, 1.0), ylim=(0.0, 1.0), xlabel="posterior inclusion probability",
        ylabel="share that was in",
        title=f"Inclusion, p = {calibration.tests['p'].iloc[0]:.2g}",
    )  # fmt: skip
    ax.legend(loc="best", frameon=False, fontsize="small")


def _ranks(ax: Axes, calibration: Calibration) -> None:
    curve = calibration.rank_curve
    at, low, high = curve["rank"], curve["low"], curve["high"]
    ax.fill_between(at, low, high, color=OUT, alpha=0.6, lw=0.0, label="95 % of right curves")
    ax.axhline(0.0, color=INK, lw=0.8, ls="--")
    out = bool(((curve["difference"] < low) | (curve["difference"] > high)).any())
    ax.plot(at, curve["difference"], color=ACCENT if out else IN, lw=1.5, drawstyle="steps-post")
    p = calibration.tests["p"].filter(like="as a whole").iloc[0]
    ax.set(
        xlim=(0.0, 1.0), xlabel="rank of the true coefficient", ylabel="ECDF − uniform",
        title=f"Conditional intervals, p = {p:.2g}",
    )  # fmt: skip
    ax.legend(loc="best", frameon=False, fontsize="small")


def _power(ax: Axes, calibration: Calibration) -> None:
    table = calibration.power
    if not len(table):
        ax.set(xticks=[], yticks=[], title="Power: no gate was open")
        return
    rules = [name for name in table.columns if name.startswith("found by ")]
    middle = 0.5 * (table["from"] + table["to"])
    for name, colour in zip(rules, colour_cycle(len(rules)), strict=True):
        ax.plot(middle, table[name], "o-", color=colour, label=name.removeprefix("found by "), clip_on=False)
    ax.set(
        ylim=(0.0, 1.0), xlabel="size of the effect, in sd of the predictor",
        ylabel="share of effects found", title="Power",
    )  # fmt: skip
    ax.legend(loc="best", frameon=False, fontsize="small")
