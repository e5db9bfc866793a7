r"""What a table holds that is hardly meant as it stands: codes for missing, units, dates as levels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes.apps.select.table_checks import WRITE_AS, quoted, rows_of
from l0bayes.estimators.text_kinds import meant_as

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_header", "levels_that_look_otherwise", "missing_codes"]

_CODES = (-9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0)
# A code is so many times the range of the other values away from them, and these are so many at least.
_FAR, _OTHERS = 3.0, 5


def missing_codes(table: pd.DataFrame) -> dict[str, str]:
    """Columns of numbers with a value that often stands for missing, far from all others, in a sentence each.

    Args:
        table: The table.
    """
    found = {}
    for name in table.columns:
        values = table[name].dropna()
        if values.dtype == bool or values.dtype.kind not in "iuf":
            continue
        numbers = values.to_numpy(float)
        codes = [code for code in _CODES if 2 <= int((numbers == code).sum()) <= len(numbers) // 2]
        others = numbers[~np.isin(numbers, codes)]
        others = others[np.isfinite(others)]
        if not codes or len(np.unique(others)) < _OTHERS:
            continue
        low, high = float(others.min()), float(others.max())
        far = [code for code in codes if max(low - code, code - high) > _FAR * (high - low)]
        if far:
            listed = " and ".join(f"{code:g} in {rows_of(int((numbers == code).sum()))}" for code in far)
            found[str(name)] = (
                f"column {str(name)!r} holds {listed}, far from its other values ({low:g} to {high:g}). It "
                f"was read as a number: if it means missing, give --na={far[0]:g}"
            )
    return found


def levels_that_look_otherwise(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Columns of text that are taken for factors and look like dates or numbers, in a sentence each.

    Args:
        table: The table.
        names: Columns that are taken as they stand.
    """
    notes = []
    for name in names:
        if table[name].dtype != object:
            continue
        levels = table[name].dropna().unique()
        kind = meant_as(levels, codes=True)
        if kind is not None:
            notes.append(
                f"column {name!r} holds {len(levels)} different values that look like {kind}, such as "
                f"{str(levels[0])!r}: they are taken as levels of a factor, whose distances mean nothing. If "
                f"they mean something, {WRITE_AS[kind]}; if not, write C({quoted(name)})"
            )
    return notes


def check_header(path: Path, names: Sequence[str], table: pd.DataFrame) -> None:
    """Refuse a first line that names no columns, and a second one of units.

    Args:
        path: The file.
        names: What the first line holds.
        table: What stands below it, as pandas reads it.

    Raises:
        ValueError: If the first line holds numbers, or the second words above columns of numbers.
    """
    if any("." in name or "," in name for name in names) and all(_number(name) for name in names):
        raise ValueError(
            f"the first line of {str(path)!r} must name the columns, and holds numbers "
            f"({', '.join(names[:4])}{', ...' if len(names) > 4 else ''}): add a line of names above it"
        )
    if len(table) < 4:
        return
    words = []
    for name in table.columns:
        first, rest = table[name].iloc[0], table[name].iloc[1:].dropna()
        if first != first or first is None:
            continue
        if _number(first):
            return
        if len(rest) >= 3 and all(_number(cell) for cell in rest):
            words.append(str(first))
    if len(words) > 1:
        raise ValueError(
            f"data row 1 of {str(path)!r} holds words over columns of numbers, such as {words[0]!r} and "
            f"{words[1]!r}: a line of units, it seems. Delete it, or put units into the names"
        )


def _number(cell: Any) -> bool:
    try:
        float(str(cell).strip().replace(",", "."))
    except ValueError:
        return False
    return True
