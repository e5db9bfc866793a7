r"""Pictures of predictions: reliability, and doubt about known and strange inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from l0bayes import validate
from l0bayes.plots.style import ACCENT, COLOURS, IN, INK
from l0bayes.posterior.calibration import (
    auroc,
    expected_calibration_error,
    predictive_entropy,
    reliability_table,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["EntropyPlot", "plot_entropy", "plot_reliability"]

EntropyPlot = Literal["histogram", "ecdf"]


def plot_reliability(
    probabilities: Any, labels: Any, *, bins: int = 15, ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Accuracy against confidence, bin by bin; on the diagonal predictions are as sure as they are right.

    One model is drawn as bars, with a tick at the mean confidence of each bin, its number of rows written
    above, and the calibration error in the title. Several are drawn as lines, with dots whose area grows with
    the share of rows, and their errors in the legend.

    Args:
        probabilities: Class probabilities of shape (n, classes), as in
            :func:`~l0bayes.posterior.prediction_scores`; or a mapping from names of models to such.
        labels: True classes, integers of shape (n,), the same for all models.
        bins: Number of bins of equal width.
        ax: Axes to draw on.
        title: Title instead of the one described.

    Returns:
        The axes.

    Raises:
        ValueError: As :func:`~l0bayes.posterior.prediction_scores`, and if a mapping is empty.
    """
    from matplotlib.collections import PathCollection

    several = isinstance(probabilities, Mapping)
    models = dict(probabilities) if several else {"model": probabilities}
    if not models:
        raise ValueError("probabilities must name at least one model, got an empty mapping")
    tables = {name: reliability_table(p, labels, bins) for name, p in models.items()}
    errors = {name: expected_calibration_error(p, labels, bins) for name, p in models.items()}
    ax = _axes(ax, (4.8, 4.4))
    ax.plot([0.0, 1.0], [0.0, 1.0], color=INK, lw=0.8, ls="--", zorder=1, label="as sure as right")
    if several:
        for index, (name, table) in enumerate(tables.items()):
            _line(ax, table, COLOURS[index % len(COLOURS)], f"{name}, ECE {errors[name]:.3f}")
    else:
        _bars(ax, tables["model"])
    ax.set(xlim=(0.0, 1.0), ylim=(0.0, 1.08), xlabel="confidence", ylabel="accuracy")
    ax.set_title(title or (f"Reliability, {bins} bins" if several else f"ECE {errors['model']:.3f}"))
    for handle in ax.legend(loc="best", frameon=False, fontsize="small").legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([24.0])  # all alike: the first dots of the models have different sizes
    return ax


def _bars(ax: Axes, table: pd.DataFrame) -> None:
    from matplotlib.patheffects import withStroke

    full = table[table["count"] > 0]
    low, high = full["low"], full["high"]
    ax.bar(low, full["accuracy"], width=high - low, align="edge", color=IN, edgecolor="white")
    ax.hlines(full["confidence"], low, high, color=ACCENT, lw=2.0, zorder=3, label="confidence")
    halo = [withStroke(linewidth=2.5, foreground="white")]  # the diagonal runs through the numbers
    tops = np.maximum(full["accuracy"], full["confidence"]) + 0.015
    for x, y, count in zip((low + high) / 2, tops, full["count"], strict=True):
        ax.text(x, y, f"{count:,}", ha="center", size=6.5, color=INK, path_effects=halo, zorder=4)


def _line(ax: Axes, table: pd.DataFrame, colour: str, label: str) -> None:
    full = table[table["count"] > 0]
    x, y, share = full["confidence"], full["accuracy"], full["count"] / full["count"].sum()
    # Pale lines: between bins of a few rows they jump by chance.
    ax.plot(x, y, color=colour, lw=1.0, alpha=0.4)
    sizes = 9.0 + 120.0 * share
    # Not clipped: the bins at the ends lie on the frame.
    ax.scatter(x, y, sizes, colour, edgecolor="white", lw=0.5, label=label, zorder=3, clip_on=False)


def plot_entropy(
    in_distribution: Any,
    out_of_distribution: Any,
    *,
    kind: EntropyPlot = "histogram",
    bins: int = 30,
    ax: Axes | None = None,
    title: str = "Doubt about known and strange inputs",
) -> Axes:
    """Predictive entropies of inputs like the training data and of inputs unlike them.

    The legend has the area under the ROC curve of telling the two apart by their entropy, ½ for a guess.

    Args:
        in_distribution: Class probabilities of known inputs, as in
            :func:`~l0bayes.posterior.prediction_scores`; for ``"ecdf"`` also a mapping from names of models
            to such.
        out_of_distribution: Class probabilities of strange inputs, with the same classes; a mapping with
            the same names where the other is one.
        kind: ``"histogram"`` for shares of rows a bin, or ``"ecdf"`` for the share of rows whose entropy is
            at most so large: solid for known inputs, dashed for strange ones.
        bins: Number of bins of the histograms.
        ax: Axes to draw on.
        title: Title of the picture.

    Returns:
        The axes.

    Raises:
        ValueError: As :func:`~l0bayes.posterior.prediction_scores`, and if ``kind`` or ``bins`` is not
            accepted, or the two do not have the same classes or models.
    """
    validate.one_of(get_args(EntropyPlot), kind=kind)
    validate.at_least(1, bins=bins)
    models = _pairs(in_distribution, out_of_distribution, kind)
    classes = {_classes(p) for pair in models.values() for p in pair}
    if len(classes) > 1:
        raise ValueError(
            f"in_distribution and out_of_distribution must have the same classes, got "
            f"{' and '.join(map(str, sorted(classes)))} of them"
        )
    top = float(np.log(classes.pop()))
    ax = _axes(ax, (5.6, 3.6))
    draw = _histogram if kind == "histogram" else _ecdf
    for index, (name, pair) in enumerate(models.items()):
        known, strange = (predictive_entropy(p) for p in pair)
        label = f"{name}, AUROC {auroc(known, strange):.3f}".removeprefix(", ")
        draw(ax, known, strange, np.linspace(0.0, top, bins + 1), COLOURS[index % len(COLOURS)], label)
    ax.axvline(top, color=INK, lw=0.8, ls=":", label="all classes alike")
    ax.set(xlim=(0.0, 1.03 * top), ylim=(0.0, None), xlabel="predictive entropy (nats)", title=title)
    if kind == "histogram":
        ax.set_ylabel("share of inputs")
        ax.legend(loc="best", frameon=False, fontsize="small")
        return ax
    ax.set_ylabel("share of inputs, entropy at most this")
    for style, label in (("-", "known"), ("--", "strange")):
        ax.plot([], [], color=INK, ls=style, label=label)
    # Beside the axes, which the curves cross from corner to corner.
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small")
    return ax


def _pairs(known: Any, strange: Any, kind: EntropyPlot) -> dict[str, tuple[Any, Any]]:
    if not isinstance(known, Mapping) and not isinstance(strange, Mapping):
        return {"": (known, strange)}
    names = [list(part) if isinstance(part, Mapping) else None for part in (known, strange)]
    if names[0] is None or names[1] is None or not names[0] or set(names[0]) != set(names[1]):
        raise ValueError(
            "in_distribution and out_of_distribution must name the same models, at least one; got "
            f"{names[0]} and {names[1]}"
        )
    if kind == "histogram":
        raise ValueError("kind must be 'ecdf' for several models: their histograms would hide each other")
    return {name: (known[name], strange[name]) for name in names[0]}


def _classes(probabilities: Any) -> int:
    shape = np.shape(probabilities)
    return int(shape[1]) if len(shape) > 1 else 2


def _histogram(ax: Axes, known: Any, strange: Any, edges: Any, colour: str, label: str) -> None:
    for values, shade, name in ((known, colour, "known"), (strange, ACCENT, f"strange, {label}")):
        shares = np.full(len(values), 1.0 / len(values))
        # Rounding may carry the largest entropy a hair past the logarithm of the number of classes.
        inside = np.clip(values, edges[0], edges[-1])
        ax.hist(inside, edges, weights=shares, color=shade, alpha=0.55, label=f"{name}, n = {len(values):,}")


def _ecdf(ax: Axes, known: Any, strange: Any, edges: Any, colour: str, label: str) -> None:
    ax.ecdf(known, color=colour, lw=1.5, label=label)
    ax.ecdf(strange, color=colour, lw=1.5, ls="--")


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax
