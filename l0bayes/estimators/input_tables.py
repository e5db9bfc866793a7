"""What a table of numbers must be, said by column."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "column_names", "refuse_constant", "refuse_not_finite", "refuse_table", "row_weights"]

Array = npt.NDArray[np.float64]

# Columns that vary by less than this share of their size are constant but for rounding.
_ROUNDING = 1e-13


def refuse_table(table: Any) -> None:
    """Refuse what is no table of numbers with one name a column, before anything is converted.

    Args:
        table: What was given as X: a data frame, an array, a list.

    Raises:
        ValueError: If a frame has no columns, two of them share a name, or a column holds text or dates.
    """
    names = getattr(table, "columns", None)
    if names is not None and hasattr(table, "dtypes"):
        labels = list(names)
        if not labels:
            raise ValueError("X has 0 features (columns); at least one is needed")
        twice = [name for name, count in Counter(labels).items() if count > 1]
        if twice:
            raise ValueError(f"X has more than one column named {twice[0]!r}; names must be distinct")
        for label in labels:
            _refuse_text(np.asarray(table[label]), repr(label))
    elif isinstance(table, np.ndarray) and table.ndim == 2 and table.dtype.kind in "OUS":
        for index in range(table.shape[1]):
            _refuse_text(table[:, index], str(index))


def _refuse_text(values: npt.NDArray[Any], label: str) -> None:
    kind = values.dtype.kind
    if kind in "Mm":
        raise ValueError(f"X holds dates or times in column {label}; turn them into numbers first")
    if kind not in "OUST":
        return
    for row, value in enumerate(values):
        if isinstance(value, str | bytes):
            raise ValueError(
                f"X holds text in column {label}, {value!r} in row {row}; X takes numbers. Encode "
                "categories first, for example with sklearn.preprocessing.OneHotEncoder(drop='first'), and "
                "give the columns of one factor one group"
            )


def column_names(given: Any, count: int) -> list[str]:
    """Names of the columns; ``x0, x1, ...`` where there are none, as in scikit-learn.

    Args:
        given: ``feature_names_in_``, or ``None``.
        count: Number of columns.
    """
    return [f"x{index}" for index in range(count)] if given is None else [str(name) for name in given]


def refuse_not_finite(x: Array, names: list[str]) -> None:
    """Refuse missing and infinite numbers.

    Args:
        x: Columns, shape ``(n, p)``.
        names: Their names.

    Raises:
        ValueError: If there are any, by column and row.
    """
    good = np.isfinite(x)
    if good.all():
        return
    column = int((~good).any(0).argmax())
    rows = np.flatnonzero(~good[:, column])
    what = "NaN" if np.isnan(x[rows[0], column]) else "inf"
    others = int((~good).any(0).sum()) - 1
    more = f", and {others} more columns" if others else ""
    raise ValueError(
        f"X holds {what} in column {names[column]!r}, first in row {rows[0]} ({len(rows)} such rows{more}); "
        "drop or impute them first"
    )


def refuse_constant(x: Array, names: list[str], *, constants_allowed: bool) -> None:
    """Refuse columns that never change.

    Args:
        x: Columns, shape ``(n, p)``, of rows that count.
        names: Their names.
        constants_allowed: Whether only a column of zeros is refused: where nothing is standardised and
            there is no intercept, a constant is a column like any other.

    Raises:
        ValueError: If there is one, by name.
    """
    low, high = x.min(0), x.max(0)
    size = np.maximum(np.abs(low), np.abs(high))
    constant = (size == 0.0) | ((high - low <= _ROUNDING * size) & (not constants_allowed))
    if not constant.any():
        return
    if len(x) == 1:
        raise ValueError(
            "X has 1 sample (n_samples = 1), in which every column is constant; give more rows, or set "
            "standardize=False and fit_intercept=False"
        )
    first = int(constant.argmax())
    others = ", ".join(repr(names[i]) for i in np.flatnonzero(constant)[1:4])
    raise ValueError(
        f"X is constant in column {names[first]!r}, {low[first]:g} in every row that counts"
        f"{f' (and in {others})' if others else ''}: it says nothing"
        f"{'' if constants_allowed else ' beside the intercept, and has no scale'}; drop it"
    )


def row_weights(sample_weight: Any, count: int) -> Array:
    """Weights of the rows.

    Args:
        sample_weight: Weights, one number for all, or ``None`` for ones.
        count: Number of rows.

    Raises:
        ValueError: If they have another shape, are negative, not finite, or all zero.
    """
    if sample_weight is None:
        return np.ones(count)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(count, float(weights))
    if weights.shape != (count,):
        raise ValueError(f"sample_weight must have shape ({count},), one a row; got {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        row = int((~np.isfinite(weights) | (weights < 0)).argmax())
        raise ValueError(f"sample_weight must be finite and not negative, got {weights[row]} in row {row}")
    if not weights.any():
        raise ValueError("sample_weight must hold a number above zero: all weights are zero")
    return weights
