r"""Pictures of a table of variables: inclusion, effects where they are not zero, false discoveries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes import validate
from l0bayes.plots.style import ACCENT, IN, INK, OUT
from l0bayes.plots.variable_rows import (
    halo,
    label_rows,
    legend_below,
    rows_title,
    shorten,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["plot_conditional_effects", "plot_fdr", "plot_inclusion"]


def plot_inclusion(summary: pd.DataFrame, *, max_rows: int = 30, ax: Axes | None = None) -> Axes:
    """Bars of posterior inclusion probabilities, with the line at one half.

    One bar a gate: columns that share one are a single bar, under the name of their group. Bars of the
    median model are dark. The prior is a tick on each bar. Where probabilities were sampled, a whisker of
    two Monte Carlo standard errors either way shows what another run might give.

    Args:
        summary: From ``summary()`` of an estimator: columns ``pip``, and ``pip_mcse``, ``prior`` and
            ``group`` where there are any.
        max_rows: Show at most this many, the most probable.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If the table is empty, has no ``pip``, or ``max_rows`` is not positive.
    """
    gates = _gates(summary)
    shown, ax = _rows(gates, max_rows, ax, width=6.4)
    rows = np.arange(len(shown))
    pip = shown["pip"].to_numpy(float)
    ax.barh(rows, pip, color=[IN if value > 0.5 else OUT for value in pip], height=0.72)
    if "pip_mcse" in shown and (error := 2.0 * shown["pip_mcse"].fillna(0.0).to_numpy(float)).max() > 0.0:
        ends = np.clip(pip - error, 0.0, 1.0), np.clip(pip + error, 0.0, 1.0)
        ax.hlines(rows, *ends, color=INK, lw=1.2, label="± 2 Monte Carlo errors", path_effects=halo())
    if "prior" in shown:
        ax.scatter(shown["prior"], rows, marker="|", s=60, color=ACCENT, zorder=3, label="prior")
    ax.axvline(0.5, color=INK, lw=0.8, ls="--", label="½: the median model")
    label_rows(ax, shown)
    ax.set_xlim(0.0, 1.0)
    ax.set(xlabel="posterior inclusion probability", title=rows_title("Inclusion", shown, gates))
    legend_below(ax)
    return ax


def plot_conditional_effects(
    summary: pd.DataFrame,
    *,
    scale: pd.Series[float] | None = None,
    max_rows: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Forest of effects given that they are not zero, beside the probability that they are.

    The dot is the mean given that the variable is in the model, the line the interval under the same
    condition; both fade as that becomes improbable. The grey spike at zero is the other part of the
    posterior: its height is the probability that the effect is exactly 0, and a spike as high as its row
    means certainty.

    Args:
        summary: From ``summary()`` of an estimator: columns ``pip``, ``cond_mean``, ``cond_hdi_low`` and
            ``cond_hdi_high``.
        scale: What to multiply each effect by, the standard deviation of its column (``X.std()``), so that
            columns in different units can be compared.
        max_rows: Show at most this many, the most probable.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If the table is empty or lacks a column, ``scale`` is no series of numbers or lacks a
            row, or ``max_rows`` is not positive.
    """
    _needs(summary, "pip", "cond_mean", "cond_hdi_low", "cond_hdi_high")
    shown, ax = _rows(summary, max_rows, ax, width=6.8)
    rows = np.arange(len(shown))
    pip = shown["pip"].to_numpy(float).clip(0.0, 1.0)
    values = shown[["cond_mean", "cond_hdi_low", "cond_hdi_high"]].to_numpy(float)
    if scale is not None:
        values = values * _of_rows(scale, shown.index)[:, None]
    finite = values[np.isfinite(values)]
    span = max(float(np.ptp(np.append(finite, 0.0))), 1e-12)
    # A spike stands on the lower edge of its row.
    ax.bar(
        np.zeros(len(rows)),
        -0.84 * (1.0 - pip),
        bottom=rows + 0.42,
        width=0.012 * span,
        color="#8c98a1",
        zorder=1,
        label="P(effect = 0), as height",
    )
    ax.axvline(0.0, color=OUT, lw=0.8, zorder=0)
    for row, (middle, low, high), weight in zip(rows, values, pip, strict=True):
        strength = 0.25 + 0.75 * weight
        ax.hlines(row, low, high, color=IN, lw=2.0, alpha=strength, zorder=2)
        ax.scatter([middle], [row], s=26, color=IN, alpha=strength, zorder=3, linewidths=0)
        ax.annotate(
            f"{weight:.2f}",
            (1.0, row),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=INK,
        )
    ax.annotate(
        "PIP",
        (1.0, 1.0),
        xycoords="axes fraction",
        xytext=(4, 3),
        textcoords="offset points",
        fontsize="small",
        color=INK,
    )
    ax.plot([], [], color=IN, marker="o", lw=2.0, ms=5, label="mean and interval, if not 0")
    label_rows(ax, shown)
    what = "effect" if scale is None else "effect of one standard deviation"
    ax.set(xlabel=f"{what}, given that it is not 0", title=rows_title("Effects", shown, summary))
    legend_below(ax)
    return ax


def plot_fdr(
    summary: pd.DataFrame, *, level: float = 0.1, max_selected: int | None = None, ax: Axes | None = None
) -> Axes:
    r"""Expected number of false discoveries against the number of variables selected.

    Variables are taken in order of their inclusion probability; among the first k the expected number
    that do not belong there is :math:`\sum_{i \le k} (1 - \mathrm{PIP}_{(i)})`. Where the curve is below
    the dashed line, the Bayesian false discovery rate is below ``level``. Columns that share a gate count
    once.

    Args:
        summary: From ``summary()`` of an estimator: the column ``pip``, and ``group`` where there is one.
        level: Rate to mark, strictly between 0 and 1.
        max_selected: Largest number of variables to show; by default twice the number at which half of
            them would be false, at least 10.
        ax: Axes to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: If the table is empty or has no ``pip``, or a number is out of range.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    validate.inside("(0, 1)", level=level)
    if max_selected is not None:
        validate.at_least(1, max_selected=max_selected)
    pip = np.sort(_gates(summary)["pip"].to_numpy(float))[::-1]
    false = np.concatenate([[0.0], np.cumsum(1.0 - pip)])
    number = np.arange(len(false))
    rate = false[1:] / number[1:]
    selected = int((rate <= level).sum())
    half = int((rate <= 0.5).sum())
    most = min(len(pip), max_selected or max(10, 2 * half))
    if ax is None:
        _, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    shown = slice(0, most + 1)
    ax.plot(number, level * number, color=INK, lw=0.9, ls="--", label=f"FDR {level:.0%}")
    ax.plot(number[shown], false[shown], color=IN, lw=1.6, marker="o", ms=3.5 if most <= 60 else 0)
    if 0 < selected <= most:
        noun = "variable" if selected == 1 else "variables"
        ax.plot(
            [selected],
            [false[selected]],
            color=ACCENT,
            marker="o",
            ms=8,
            ls="",
            label=f"{selected} {noun}, {_small(false[selected])} expected to be false",
        )
    elif selected == 0:
        ax.plot([], [], ls="", label="no selection is below it")
    ax.set_xlim(0.0, most + 0.5)
    ax.set_ylim(0.0, 1.05 * max(false[most], level * most, 1e-3))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    part = "" if most == len(pip) else f": the first {most} of {len(pip)}"
    ax.set(
        xlabel="variables selected, most probable first",
        ylabel="expected false discoveries",
        title=f"False discoveries{part}",
    )
    ax.legend(loc="upper left", frameon=False)
    return ax


def _gates(summary: pd.DataFrame) -> pd.DataFrame:
    """One row for each gate, named by its group where that has several columns."""
    _needs(summary, "pip")
    if "group" not in summary:
        return summary
    group = summary["group"].astype(str)
    members = group.map(group.value_counts()).to_numpy()
    names = [
        str(label) if count == 1 else name
        for label, name, count in zip(summary.index, group, members, strict=True)
    ]
    once = ~group.duplicated().to_numpy()
    return summary.set_axis(names)[once]


def _needs(summary: pd.DataFrame, *columns: str) -> None:
    missing = [name for name in columns if name not in summary]
    if missing or summary.empty:
        raise ValueError(
            f"summary must have rows and the columns {list(columns)}, as an estimator's summary() gives; "
            f"{'it is empty' if summary.empty else f'missing: {missing}'}"
        )


def _rows(table: pd.DataFrame, max_rows: int, ax: Axes | None, width: float) -> tuple[pd.DataFrame, Axes]:
    import matplotlib.pyplot as plt

    validate.at_least(1, max_rows=max_rows)
    shown = table.sort_values("pip", ascending=False, kind="stable").head(max_rows)
    if ax is None:
        letters = max(len(shorten(str(label))) for label in shown.index)
        size = (width + 0.07 * max(0, letters - 12), 1.4 + 0.24 * len(shown))
        _, ax = plt.subplots(figsize=size, layout="constrained")
    return shown, ax


def _of_rows(scale: Any, rows: pd.Index[Any]) -> Any:
    import pandas as pd

    if not isinstance(scale, pd.Series):
        raise ValueError(
            "scale must be a Series with an entry for each column of summary, such as X.std(); got "
            f"{type(scale).__name__}"
        )
    if left := [str(label) for label in rows if label not in scale.index]:
        raise ValueError(f"scale must have an entry for each column of summary, lacks {left}")
    if scale.index.has_duplicates or not pd.api.types.is_numeric_dtype(scale):
        raise ValueError("scale must hold one number for each column of summary")
    return scale[rows].to_numpy(float)


def _small(number: float) -> str:
    return f"{number:.2g}" if number >= 0.01 else "under 0.01"
