r"""What a table must be for a selection: clear words where it is not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes.apps.select.column_names import bare
from l0bayes.estimators.text_kinds import meant_as

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "WRITE_AS",
    "check_finite",
    "check_finite_column",
    "check_predictors",
    "data_row",
    "leave_out_missing",
    "plain_columns",
    "quoted",
    "rows_of",
]

WRITE_AS = {
    "numbers in another notation": "write them with a decimal point, and without signs of thousands, units "
    "or currencies",
    "dates or times": "write them as numbers, such as days since the first",
}
"""What to do about text that looks like something else."""
# Text with more levels than this, and than a third of the rows, is a name and no factor.
_FEW_LEVELS = 20


def rows_of(count: int) -> str:
    """``"1 row"``, ``"2 rows"``.

    Args:
        count: How many.
    """
    return f"{count} row" if count == 1 else f"{count} rows"


def data_row(index: Any, position: Any) -> str:
    """``"data row 7"``: the row of the file from which a row of the table came.

    Args:
        index: Index of the table, which numbers the rows of the file.
        position: Where in it.
    """
    label = index[int(position)]
    return f"data row {label + 1 if isinstance(label, int | np.integer) else label}"


def quoted(name: str) -> str:
    """A column as one would type it in a formula.

    Args:
        name: Its name.
    """
    return name if bare(name) else f"`{name}`"


def leave_out_missing(table: pd.DataFrame, names: Sequence[str], drop: bool) -> pd.DataFrame:
    """The table without rows in which something is missing.

    Args:
        table: The table.
        names: The columns that count.
        drop: Whether rows may be left out.

    Raises:
        ValueError: If something is missing and may not be left out, or nothing would remain.
    """
    missing = table[list(dict.fromkeys(names))].isna()
    counts = missing.sum()
    wrong = {str(name): int(count) for name, count in counts.items() if count}
    if not wrong:
        return table
    rows = missing.any(axis=1)
    listing = ", ".join(f"{name!r} in {rows_of(count)}" for name, count in list(wrong.items())[:8])
    listing += f" and {len(wrong) - 8} more columns" if len(wrong) > 8 else ""
    if rows.all():
        raise ValueError(f"values are missing: {listing}. No row is complete: {_of_empty(table, wrong)}")
    if not drop:
        raise ValueError(
            f"values are missing: {listing}. --drop-missing leaves out {int(rows.sum())} of "
            f"{rows_of(len(table))}"
        )
    # The index keeps saying which row of the file each one was.
    return table[~rows]


def _of_empty(table: pd.DataFrame, wrong: dict[str, int]) -> str:
    most = max(wrong, key=lambda name: wrong[name])
    what = "is empty" if wrong[most] == len(table) else "is missing most often"
    return f"leave out of the formula what {what}, as in '. - {quoted(most)}'"


def plain_columns(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The table with numbers as numbers, truth values as such, and text as objects, whatever held them.

    Args:
        table: The table, without missing values.
        names: The columns that count.

    Raises:
        ValueError: If one of them holds dates, times or lists.
    """
    changed = {}
    for name in dict.fromkeys(names):
        values = table[name]
        plain = _plain(name, values)
        if plain is not values:
            changed[name] = plain
    return table.assign(**changed)


def _plain(name: str, values: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    kinds = pd.api.types
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return values.cat.remove_unused_categories()
    kind = kinds.infer_dtype(values, skipna=True)
    if kind.rstrip("s") in ("date", "datetime", "datetime64", "time", "timedelta", "timedelta64", "period"):
        raise ValueError(
            f"column {name!r} holds dates or times: turn them into numbers first, or leave it out"
        )
    if kinds.is_bool_dtype(dtype) or kind == "boolean":
        return values.astype(bool)
    if kind in ("string", "bytes"):
        return values.astype(object)
    if kinds.is_numeric_dtype(dtype):
        if kinds.is_extension_array_dtype(dtype):
            return values.astype("int64" if kinds.is_integer_dtype(dtype) else float)
        return values
    if all(isinstance(value, Number | Decimal) for value in values):
        return values.astype(float)
    odd = [value for value in values if not isinstance(value, str | Number | Decimal)]
    if odd:
        raise ValueError(
            f"column {name!r} holds values of the kind {type(odd[0]).__name__}: neither numbers nor text. "
            "Leave it out"
        )
    return values


def check_predictors(table: pd.DataFrame, factors: Sequence[tuple[str | None, Sequence[str]]]) -> None:
    """Raise where a column that a formula uses will not do.

    Args:
        table: The table, without missing values, its columns plain.
        factors: Expressions of the formula, ``None`` for a column as it stands, and the columns that each
            uses.

    Raises:
        ValueError: If a column holds text among numbers, or too many levels, or infinite values.
    """
    import pandas as pd

    for expression, names in factors:
        for name in names:
            values = table[name]
            if pd.api.types.is_numeric_dtype(values):
                check_finite_column(name, values)
            elif expression is None or not expression.startswith("C("):
                _check_text(name, values, plain=expression is None)


def check_finite(name: str, values: Any, index: Any) -> None:
    """Raise where a column that a formula made is infinite or no number.

    Args:
        name: Its name.
        values: Its values, shape ``(n,)``.
        index: Index of the table, which numbers the rows of the file.

    Raises:
        ValueError: If it is, by row.
    """
    bad = np.nonzero(~np.isfinite(np.asarray(values, dtype=float)))[0]
    if len(bad):
        raise ValueError(
            f"column {name!r} is not finite in {rows_of(len(bad))}, the first of them "
            f"{data_row(index, bad[0])}{_of_domain(name)}"
        )


def _of_domain(name: str) -> str:
    """What the functions in a column's name can be taken of."""
    if re.search(r"\blog(2|10)?\(", name):
        return ": a logarithm is of positive numbers. Of counts write log1p(...), which adds 1 before it"
    if re.search(r"\bsqrt\(", name):
        return ": a square root is of numbers from 0 on"
    return ": correct such rows, or leave the term out"


def check_finite_column(name: str, values: Any) -> None:
    """Raise where a column of the table is infinite.

    Args:
        name: Its name.
        values: The column.

    Raises:
        ValueError: If it is, by row.
    """
    bad = np.nonzero(~np.isfinite(values.to_numpy(float)))[0]
    if len(bad):
        raise ValueError(
            f"column {name!r} is infinite in {rows_of(len(bad))}, the first of them "
            f"{data_row(values.index, bad[0])}. Correct such rows, leave their cells empty, or leave the "
            "column out"
        )


def _check_text(name: str, values: Any, *, plain: bool) -> None:
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        return
    numbers = pd.to_numeric(values.astype(str), errors="coerce").notna()
    wrong = values[~numbers]
    if numbers.mean() >= 0.5 and len(wrong):
        raise ValueError(
            f"column {name!r} holds text among numbers in {rows_of(len(wrong))}, the first of them "
            f"{wrong.iloc[0]!r} in {data_row(wrong.index, 0)}. Leave such cells empty, or write "
            f"C({quoted(name)}) if it is a factor"
        )
    if not plain:
        raise ValueError(
            f"column {name!r} holds text, such as {values.iloc[0]!r}, where numbers are needed"
            f"{_hint_on(values)}"
        )
    levels = values.nunique()
    if levels > max(_FEW_LEVELS, len(values) // 3):
        raise ValueError(
            f"column {name!r} holds text with {levels} different values in {rows_of(len(values))}: too many "
            f"for a factor{_hint_on(values)}. Leave it out, as in '. - {quoted(name)}', or write "
            f"C({quoted(name)}) if you mean it"
        )


def _hint_on(values: pd.Series[Any]) -> str:
    """A hint for text that is nearly all dates, or numbers with something around or between the digits."""
    kind = meant_as(values, codes=False)
    return "" if kind is None else f"; its cells look like {kind}: {WRITE_AS[kind]}"
