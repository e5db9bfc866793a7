r"""Whether the points and commas of a text file are decimal marks or signs of thousands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["may_be_thousands", "two_readings"]

_MARKS = {",": "comma", ".": "point"}
_OTHER = {",": ".", ".": ","}
# One group of three digits: a number with three decimals, or a thousand.
_GROUP = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}") for mark in _MARKS}
_DECIMAL = {mark: re.compile(rf"[+-]?\d*{re.escape(mark)}\d*(?:[eE][+-]?\d+)?") for mark in _MARKS}
_LIKE_A_NUMBER = re.compile(r"[+-]?[.,]?\d[\d.,]*(?:[eE][+-]?\d+)?")
# 1,234,567 and 1,234.5: the first mark is one of thousands.
_THOUSANDS = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+") for mark in _MARKS}
_BOTH = {
    mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+{re.escape(other)}\d+")
    for mark, other in _OTHER.items()
}


def may_be_thousands(values: Any) -> bool:
    """Whether numbers with a mark may be thousands: each has at most three decimals, and is below 1000.

    Of numbers that are read already; what their cells look like decides.

    Args:
        values: Numbers, shape ``(n,)``; what is missing is NaN.
    """
    known = values[np.isfinite(values)]
    broken = known[known % 1 != 0]
    if not len(broken):
        return False
    size, thousand = np.abs(broken), np.abs(known) * 1000.0
    return bool(
        (size > 1.0).all() and (size < 1000.0).all() and (np.abs(thousand - np.round(thousand)) < 1e-6).all()
    )


def two_readings(
    cells: Mapping[str, Sequence[str]],
    other_cells: Sequence[Sequence[str]],
    shown: set[str],
    *,
    separator: str,
) -> tuple[dict[str, str], dict[str, str]]:
    r"""Columns whose marks may be decimal ones or signs of thousands.

    A cell such as ``1,234`` can be both; ``0,56``, ``1,5`` and ``1,2345`` show that a comma is the decimal
    mark of the file, and ``1,234,567`` and ``1,234.5`` that it is none. A column all of whose marks can be
    both is refused where other cells of the file show that its mark is not the decimal one, or where whole
    numbers without a mark stand beside it: whoever writes three decimals writes them in each row, and
    ``999`` and ``1,234`` would change places. It is doubtful where nothing speaks for either, except that
    points between commas are taken for what they usually are.

    Args:
        cells: Text of the columns of numbers, without what is missing, by name.
        other_cells: That of columns that are no numbers, or in which nothing is open: they may show marks.
        shown: Marks that yet others show to be decimal ones.
        separator: What separates fields.

    Returns:
        By column what is refused, and what is doubtful, in sentences.
    """
    decimal, thousands = set(shown), set[str]()
    columns = {name: [cell.strip() for cell in column] for name, column in cells.items()}
    numbers = [one for one in other_cells if all(_LIKE_A_NUMBER.fullmatch(cell.strip()) for cell in one)]
    for column in [*columns.values(), *([cell.strip() for cell in one] for one in numbers)]:
        for mark, meaning in _shown(column):
            (decimal if meaning == "decimal" else thousands).add(mark)
    refused, doubtful = {}, {}
    for name, column in columns.items():
        if not (open_marks := [one for one in _MARKS if _is_open(column, one)]):
            continue
        mark = open_marks[0]
        other = _OTHER[mark]
        marked = [cell for cell in column if mark in cell]
        whole = [cell for cell in column if mark not in cell]
        first = marked[0]
        beside = f" beside {whole[0]!r}" if whole else ""
        fault = (
            f"column {name!r} holds {first!r}{beside}, which may be {first.replace(mark, '.')} or "
            f"{first.replace(mark, '')}"
        )
        remedy = "write thousands without a sign between digits"
        longer = f"{remedy}; if it is a decimal {_MARKS[mark]}, write one more digit, as in '{first}0'"
        if mark in thousands:
            refused[name] = f"{fault}, and elsewhere in the file a {_MARKS[mark]} marks thousands: {remedy}"
        elif other in decimal:
            refused[name] = (
                f"{fault}, and elsewhere in the file the decimal mark is a {_MARKS[other]}: {remedy}, and "
                "all decimals with one mark"
            )
        elif mark in decimal:
            continue
        elif whole and (separator != "," or any(cell.endswith("0") for cell in marked)):
            refused[name] = f"{fault}: {longer}"
        elif whole or separator != ",":
            doubtful[name] = f"{fault}, and was read as the first: if it is the second, {longer}"
    return refused, doubtful


def _shown(column: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Marks whose meaning the cells of a column show."""
    for mark, other in _OTHER.items():
        marked = [cell for cell in column if mark in cell]
        if not marked or _is_open(column, mark):
            continue
        if any(_BOTH[mark].fullmatch(cell) for cell in marked):
            yield from ((mark, "thousands"), (other, "decimal"))
        elif all(_THOUSANDS[mark].fullmatch(cell) for cell in marked):
            yield mark, "thousands"
        elif all(_DECIMAL[mark].fullmatch(cell) for cell in marked):
            yield mark, "decimal"


def _is_open(column: Sequence[str], mark: str) -> bool:
    marked = [cell for cell in column if mark in cell]
    return bool(marked) and all(_GROUP[mark].fullmatch(cell) for cell in marked)
