r"""The pictures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from l0bayes.datasets import Split
    from l0bayes.infer import Fit

__all__ = ["draw_pictures", "plot_costs", "plot_units"]

_COLOURS = ("#1f5f8b", "#c2573f", "#5a9367", "#8a6fa8", "#b8860b", "#4a4a4a")


def draw_pictures(fit: Fit, data: Split, probabilities: Any, out: Path) -> list[Path]:
    """Write all pictures that a run has.

    Args:
        fit: The fit.
        data: Its data.
        probabilities: Class probabilities by set and kind of prediction.
        out: Folder.

    Returns:
        The files.
    """
    from l0bayes.posterior import plot_gate_map, plot_reliability

    files = []
    history = fit.history.to_frame()
    if len(history):
        files += [
            _save(plot_units(history), out / "units.png"),
            _save(plot_costs(history), out / "costs.png"),
        ]
    first = _input_gates(fit, data)
    if first is not None:
        probabilities_of_pixels, shape = first
        title = "Pixels that the network reads"
        files.append(
            _save(plot_gate_map(probabilities_of_pixels, shape, title=title), out / "input_gates.png")
        )
    name, labels = ("test", data.test_y) if "test" in probabilities else ("validation", data.valid_y)
    files.append(_save(plot_reliability(probabilities[name], labels), out / "reliability.png"))
    return files


def plot_units(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Gates that the median rule leaves open in every site, over training.

    Args:
        history: From ``fit.history.to_frame()``, of a model that knows its cost.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If the history does not tell.
    """
    sites = [name for name in history.columns if name.startswith("open:")]
    if not sites:
        raise ValueError("history has no columns open:site; it is not of a model that knows its cost")
    ax = _axes(ax)
    for colour, site in zip(_cycle(len(sites)), sites, strict=True):
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
        history: From ``fit.history.to_frame()``, of a model that knows its cost.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If the history does not tell.
    """
    if "expected_macs" not in history:
        raise ValueError("history has no column expected_macs; it is not of a model that knows its cost")
    ax = _axes(ax)
    words = {"macs": "MACs", "params": "parameters"}
    # Of unequal width: in dense networks the two kinds lie on one another.
    for colour, width, (kind, word) in zip(_COLOURS, (3.5, 1.2), words.items(), strict=False):
        for form, line in {"expected": "-", "deployed": "--"}.items():
            style: dict[str, Any] = {"color": colour, "lw": width, "ls": line, "label": f"{word}, {form}"}
            ax.plot(history["step"], history[f"{form}_{kind}"], alpha=1.0 if width < 2.0 else 0.5, **style)
    if "target" in history and history["target"].notna().any():
        ax.plot(history["step"], history["target"], color="#333333", lw=0.9, ls=":", label="target")
    _log_scale(ax)
    ax.set(xlabel="step", ylabel="share of the dense network", title="Cost over training")
    ax.legend(frameon=False)
    return ax


def _input_gates(fit: Fit, data: Split) -> tuple[Any, tuple[int, int]] | None:
    """P(z != 0) of every pixel of grey images, where the first layer has such gates."""
    *channels, height, width = data.train_x.shape[1:] if data.train_x.dim() > 2 else (1, 0, 0)
    if data.train_x.dim() == 2:
        side = round(data.train_x.shape[1] ** 0.5)
        height = width = side
    if any(count != 1 for count in channels):
        return None
    for spec in fit.model.plan.specs.values():
        if spec.placement == "input" and spec.shape == (height * width,):
            return fit.guide.gates()[spec.name].prob_active.detach(), (height, width)
    return None


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


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _save(axes: Any, path: Path) -> Path:
    import matplotlib.pyplot as plt

    axes.figure.savefig(path, dpi=130, bbox_inches="tight")
    plt.close(axes.figure)
    return path
