r"""Pictures of a training run: units kept, and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from l0bayes.plots.style import COLOURS, INK, colour_cycle

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


__all__ = ["plot_costs", "plot_units"]


def plot_units(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Gates that the median rule leaves open in every site, over training.

    Args:
        history: From ``fit.history.to_frame()``, of a model that has costs.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If the history does not have them.
    """
    sites = [name for name in history.columns if name.startswith("open:")]
    if not sites:
        raise ValueError("history has no columns open:site; it is not of a model that has costs")
    ax = _axes(ax)
    for colour, site in zip(colour_cycle(len(sites)), sites, strict=True):
        label = site.removeprefix("open:").removesuffix(".gate") if len(sites) <= 12 else None
        ax.plot(history["step"], history[site].clip(lower=0.8), color=colour, lw=1.5, label=label)
    _log_scale(ax)
    ax.set(xlabel="step", ylabel="open gates (median)", title="Units kept over training")
    if len(sites) <= 12:
        ax.legend(frameon=False)
    return ax


def plot_costs(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Expected and deployed cost as shares of the dense network's, over training.

    Args:
        history: From ``fit.history.to_frame()``, of a model that has costs.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If the history does not have them.
    """
    if "expected_macs" not in history:
        raise ValueError("history has no column expected_macs; it is not of a model that has costs")
    ax = _axes(ax)
    words = {"macs": "MACs", "params": "parameters"}
    # Of unequal width: in dense networks the two kinds lie on one another.
    for colour, width, (kind, word) in zip(COLOURS, (3.5, 1.2), words.items(), strict=False):
        for form, line in {"expected": "-", "deployed": "--"}.items():
            style: dict[str, Any] = {"color": colour, "lw": width, "ls": line, "label": f"{word}, {form}"}
            ax.plot(history["step"], history[f"{form}_{kind}"], alpha=1.0 if width < 2.0 else 0.5, **style)
    if "target" in history and history["target"].notna().any():
        ax.plot(history["step"], history["target"], color=INK, lw=0.9, ls=":", label="target")
    _log_scale(ax)
    ax.set(xlabel="step", ylabel="share of the dense network", title="Cost over training")
    ax.legend(frameon=False)
    return ax


def _axes(ax: Axes | None) -> Axes:
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    return ax


def _log_scale(ax: Axes) -> None:
    """A logarithmic scale with plain numbers at 1, 2 and 5 times powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
