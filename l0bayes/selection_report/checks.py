r"""What a table must be for a selection: clear words where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_predictors", "check_response", "leave_out_missing", "rows_of"]

# Text with more levels than this, and than a third of the rows, is a name and no factor.
_FEW_LEVELS = 20


def rows_of(count: int) -> str:
    """``"1 row"``, ``"2 rows"``.

    Args:
        count: How many.
    """
    return f"{count} row" if count == 1 else f"{count} rows"


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
    told = ", ".join(f"{name!r} in {rows_of(count)}" for name, count in list(wrong.items())[:8])
    told += f" and {len(wrong) - 8} more columns" if len(wrong) > 8 else ""
    if not drop:
        raise ValueError(
            f"values are missing: {told}. --drop-missing leaves out {int(rows.sum())} of "
            f"{rows_of(len(table))}"
        )
    if rows.all():
        raise ValueError(f"values are missing: {told}. No row is complete")
    # The index keeps saying which row of the file each one was.
    return table[~rows]


def check_predictors(table: pd.DataFrame, factors: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Raise where a column that a formula uses will not do.

    Args:
        table: The table, without missing values.
        factors: Expressions of the formula and the columns that each uses.

    Raises:
        ValueError: If a column holds text among numbers, or too many levels, infinite values, or dates.
    """
    import pandas as pd

    for expression, names in factors:
        for name in names:
            if name not in table:
                continue
            values = table[name]
            if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values):
                raise ValueError(
                    f"column {name!r} holds dates: turn them into numbers first, or leave it out"
                )
            if pd.api.types.is_numeric_dtype(values):
                _check_finite(name, values)
            elif not expression.startswith("C("):
                _check_text(name, values, plain=expression == name)


def _check_finite(name: str, values: Any) -> None:
    bad = np.nonzero(~np.isfinite(values.to_numpy(float)))[0]
    if len(bad):
        raise ValueError(
            f"column {name!r} is infinite in {rows_of(len(bad))}, the first of them data row "
            f"{values.index[bad[0]] + 1}"
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
            f"{wrong.iloc[0]!r} in data row {wrong.index[0] + 1}. Leave such cells empty, or write C({name}) "
            "if it is a factor"
        )
    if not plain:
        raise ValueError(f"column {name!r} holds text, such as {values.iloc[0]!r}, where numbers are needed")
    levels = values.nunique()
    if levels > max(_FEW_LEVELS, len(values) // 3):
        raise ValueError(
            f"column {name!r} holds text with {levels} different values in {rows_of(len(values))}: too many "
            f"for a factor. Leave it out, as in '. - {name}', or write C({name}) if you mean it"
        )


def check_response(values: pd.Series[Any], name: str, family: str) -> pd.Series[Any]:
    """The response as an estimator takes it.

    Args:
        values: The response, without missing values.
        name: Its name.
        family: ``"gaussian"``, ``"binomial"`` or ``"poisson"``.

    Raises:
        ValueError: If the family cannot have brought forth such values.
    """
    import pandas as pd

    if family == "binomial":
        classes = sorted(values.unique().tolist(), key=str)
        if len(classes) == 1:
            raise ValueError(
                f"response {name!r} has one class only, {_short(classes[0])} in all {rows_of(len(values))}: "
                "there is nothing to tell apart"
            )
        if len(classes) > 2:
            raise ValueError(
                f"response {name!r} must have two classes for --family binomial, got {len(classes)}: "
                f"{', '.join(map(_short, classes[:4]))}, ..."
            )
        return values
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        held = (
            f"text, such as {values.iloc[0]!r}" if not pd.api.types.is_bool_dtype(values) else "truth values"
        )
        hint = "; --family binomial is for two classes" if values.nunique() == 2 else ""
        raise ValueError(f"response {name!r} must hold numbers for --family {family}, it holds {held}{hint}")
    _check_finite(name, values)
    if family == "poisson":
        for wrong, word in ((values < 0, "not be negative"), (values % 1 != 0, "be whole numbers")):
            if wrong.any():
                first = values[wrong]
                raise ValueError(
                    f"response {name!r} must {word} for --family poisson: {first.iloc[0]:g} in data row "
                    f"{first.index[0] + 1}, and so in {rows_of(len(first))}"
                )
    if values.nunique() == 1:
        raise ValueError(f"response {name!r} is constant: {values.iloc[0]:g} in all {rows_of(len(values))}")
    return values.astype(float)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)
