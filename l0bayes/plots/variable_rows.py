r"""Pictures with a row for each variable: names that fit, titles, legends that cover no bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["halo", "label_rows", "legend_below", "rows_title", "shorten", "shorten_all"]


def label_rows(ax: Axes, shown: pd.DataFrame) -> None:
    """Names of variables down the left side, the first on top.

    Args:
        ax: The axes.
        shown: A row for each variable, its name in the index.
    """
    ax.set_yticks(np.arange(len(shown)), shorten_all([str(label) for label in shown.index]))
    ax.set_ylim(len(shown) - 0.4, -0.6)


def shorten(name: str, length: int = 32) -> str:
    """A name short enough for an axis, in which no part is a formula.

    Args:
        name: The name.
        length: Most letters.
    """
    short = name if len(name) <= length else f"{name[: length // 2]}…{name[-(length // 2 - 1) :]}"
    return short.replace("$", r"\$")  # what stands between two of them Matplotlib would typeset


def shorten_all(names: Sequence[str], length: int = 32) -> list[str]:
    """Names short enough for an axis that differ wherever the names do.

    Long names are cut in the middle. Those that would look alike show the part in which they differ.

    Args:
        names: The names.
        length: Most letters.
    """
    short = [shorten(name, length) for name in names]
    alike: dict[str, list[int]] = {}
    for place, text in enumerate(short):
        alike.setdefault(text, []).append(place)
    for places in alike.values():
        different = sorted({names[place] for place in places})
        if len(different) > 1:
            # Of sorted names the first and the last share what all share.
            pairs = zip(different[0], different[-1], strict=False)
            common = next((place for place, (one, other) in enumerate(pairs) if one != other), 0)
            start = max(0, common - length // 4)
            for place in places:
                short[place] = shorten("…" * bool(start) + names[place][start:], length)
    if len({*short}) < len({*names}):  # they differ in several places far apart
        width = len(str(len(names)))
        cut = [shorten(name, length - width - 1) for name in names]
        short = [f"{text} {place + 1}" for place, text in enumerate(cut)]
    return short


def rows_title(word: str, shown: pd.DataFrame, table: pd.DataFrame) -> str:
    """A title, with how many of the variables are shown where it is not all of them.

    Args:
        word: Subject of the picture.
        shown: Rows in the picture.
        table: All rows.
    """
    return word if len(shown) == len(table) else f"{word}: {len(shown)} most probable of {len(table)}"


def legend_below(ax: Axes) -> None:
    """A legend under the axes, where no bar can lie beneath it.

    Args:
        ax: The axes.
    """
    ax.legend(
        loc="upper right",
        bbox_to_anchor=(1.0, 0.0),
        bbox_transform=_below(ax),
        ncols=3,
        columnspacing=1.2,
        frameon=False,
        fontsize="small",
    )


def _below(ax: Axes) -> Any:
    from matplotlib.transforms import ScaledTranslation

    return ax.transAxes + ScaledTranslation(0.0, -0.45, ax.figure.dpi_scale_trans)


def halo() -> list[Any]:
    """Path effects of a line that stays visible on a bar of its own colour."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3.0, foreground="white")]
