r"""Pictures of gradients: bias against noise, and the gradient of each gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes import validate
from l0bayes.plots.style import COLOURS, INK

if TYPE_CHECKING:
    from l0bayes.gradients.estimates import GateEstimate

__all__ = ["plot_gradients"]

_MARKERS = "osD^vP*Xdp"


def plot_gradients(report: Any, *, axes: Any = None, max_gates: int = 24) -> Any:
    """Bias against noise of every candidate, and its mean gradient for every gate beside the truth.

    Left, near the lower left corner is good; the unit is the length of the exact gradient. A hollow marker
    with an arrow is a candidate whose bias was too small to be seen, at the upper end of its interval.
    Right, gates are ordered by their gradient, a dark line each; whiskers are 95 % intervals of the
    candidates' means.

    Args:
        report: A :class:`~l0bayes.gradients.GradientReport`.
        axes: Two axes to draw on.
        max_gates: Show at most so many gates, evenly over their order.

    Returns:
        The two axes.

    Raises:
        ValueError: If there are not two axes, or ``max_gates`` is not positive.
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(12.0, 4.4), width_ratios=(2, 3), layout="constrained")
    if len(axes) != 2:
        raise ValueError(f"axes must be two, got {len(axes)}")
    validate.at_least(1, max_gates=max_gates)
    left, right = axes
    truth = report.reference.cpu().numpy()
    order = np.argsort(truth, kind="stable")
    if len(order) > max_gates:
        order = order[np.linspace(0, len(order) - 1, max_gates).round().astype(int)]
    places = np.arange(len(order))
    right.hlines(truth[order], places - 0.45, places + 0.45, color=INK, lw=1.4, zorder=1)
    shifts = np.linspace(-0.34, 0.34, len(report.estimates)) if len(report.estimates) > 1 else np.zeros(1)
    for index, (name, one) in enumerate(report.estimates.items()):
        colour, marker = COLOURS[index % len(COLOURS)], _MARKERS[index % len(_MARKERS)]
        # Those drawn first are larger, so that two at one place both show.
        _bias_marker(left, one, colour, marker, 10.0 - 0.4 * min(index, 8))
        low, high = report.intervals(name).cpu().numpy()[order].T
        mean = one.mean.cpu().numpy()[order]
        right.errorbar(
            places + shifts[index],
            mean,
            yerr=np.stack([mean - low, high - mean]),
            fmt=marker,
            ms=4.0,
            lw=1.0,
            color=colour,
            label=name,
        )
    left.set(
        xlabel="sd of one draw / length of the gradient",
        ylabel="bias / length of the gradient",
        title="Bias and noise",
    )
    _bias_legend(left)
    _plain_log(left)
    right.axhline(0.0, color=INK, lw=0.6, ls=":", zorder=0)
    right.set_xticks(places, [report.gates[i] for i in order], rotation=90 if len(order) > 4 else 0)
    right.set_ylabel("gradient in the activity logit")
    which = "Each gate" if len(order) == len(truth) else f"{len(order)} of {len(truth)} gates"
    right.set_title(f"{which} ({'exact' if report.exact else 'reference'} gradient: line)")
    right.legend(
        title="estimate", frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5)
    )
    return axes


def _bias_legend(ax: Any) -> None:
    """What filled and hollow mean, below: within the axes it would cover a candidate."""
    from matplotlib.lines import Line2D

    words = ((INK, "bias seen"), ("white", "none seen: it is below"))
    handles = [Line2D([], [], ls="", marker="o", ms=7, c=INK, mfc=fill, label=word) for fill, word in words]
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=2,
        frameon=False,
        fontsize="small",
        handletextpad=0.2,
    )


def _bias_marker(ax: Any, one: GateEstimate, colour: str, marker: str, size: float) -> None:
    noise = np.sqrt(one.relative_variance)
    seen = one.bias_low > 0.0
    at = one.bias if seen else one.bias_high
    if not (noise > 0.0 and at > 0.0):  # nor a place on logarithmic axes: without noise, or g is 0
        return
    ax.errorbar(
        [noise],
        [at],
        yerr=[[at - one.bias_low if seen else 0.25 * at], [one.bias_high - at]],
        uplims=not seen,
        fmt=marker,
        ms=size,
        lw=1.2,
        color=colour,
        markerfacecolor=colour if seen else "white",
        zorder=3,
    )


def _plain_log(ax: Any) -> None:
    """Logarithmic axes with 1, 2 and 5 written out: a report seldom spans more than two decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set(xscale="log", yscale="log")
    ax.margins(0.12)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
