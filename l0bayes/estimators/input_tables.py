"""What a table of numbers must be, said by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt

from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.user_warnings import warn_user

__all__ = [
    "Array",
    "ConstantColumnWarning",
    "column_names",
    "constant_columns",
    "is_frame",
    "refuse_not_finite",
    "refuse_table",
    "refuse_text",
    "row_weights",
]

Array = npt.NDArray[np.float64]

# Columns that vary by less than this share of their size are constant up to rounding.
_ROUNDING = 1e-13


class ConstantColumnWarning(UserWarning):
    """A column that is the same in every row, so that the data hold nothing about it."""


def is_frame(table: Any) -> bool:
    """Whether something is a data frame, of pandas or polars.

    Args:
        table: What was given as X.
    """
    return hasattr(table, "columns") and hasattr(table, "dtypes")


def refuse_table(table: Any) -> None:
    """Refuse what is no table with one name a column, before anything is converted.

    Args:
        table: What was given as X: a data frame, an array, a list.

    Raises:
        ValueError: If a frame has no columns, two of them share a name, a column holds dates, or an array
            holds text.
    """
    if type(table).__name__ == "LazyFrame":
        raise ValueError("X is a lazy frame, whose rows are not there yet: give X.collect()")
    if is_frame(table):
        labels = list(table.columns)
        if not labels:
            raise ValueError("X has 0 features (columns); at least one is needed")
        twice = [name for name, count in Counter(labels).items() if count > 1]
        if twice:
            raise ValueError(f"X has more than one column named {twice[0]!r}; names must be distinct")
        for label in labels:
            if np.asarray(table[label]).dtype.kind in "Mm":
                raise ValueError(f"X holds dates or times in column {label!r}; turn them into numbers first")
            if np.asarray(table[label]).dtype.kind == "c":
                raise ValueError(
                    f"X holds complex numbers in column {label!r}; give its parts as columns of their own"
                )
            _refuse_objects(table[label], str(label))
    elif isinstance(table, np.ndarray) and table.ndim == 2 and table.dtype.kind in "OUS":
        for index in range(table.shape[1]):
            for row, value in enumerate(table[:, index]):
                if isinstance(value, str | bytes):
                    raise ValueError(
                        f"X holds text in column {index}, {value!r} in row {row}; an array takes numbers. In "
                        "a data frame columns of text are factors"
                    )


def _refuse_objects(column: Any, name: str) -> None:
    """Refuse cells that are neither numbers nor text; a declared category may be anything."""
    if hasattr(column.dtype, "categories"):
        return
    cells = np.asarray(column)
    if cells.dtype.kind != "O":
        return
    for row, cell in enumerate(cells.tolist()):
        # What is missing is refused, or filled in by nobody, later on.
        if isinstance(cell, str | bytes | Number | Decimal | np.generic) or cell is None:
            continue
        kind = type(cell).__name__
        if kind in ("NAType", "NaTType"):
            continue
        if isinstance(cell, date | time | timedelta) or kind == "Period":
            raise ValueError(f"X holds dates or times in column {name!r}; turn them into numbers first")
        raise ValueError(
            f"X holds a {kind} in column {name!r}, row {row}, which is neither a number nor text; leave the "
            "column out, or give its parts as columns of their own"
        )


def refuse_text(y: Any) -> None:
    """Refuse a response of text where numbers are needed.

    Args:
        y: What was given as y.

    Raises:
        ValueError: If it holds text, by row.
    """
    values = np.asarray(y)
    if values.ndim != 1 or values.dtype.kind not in "OUST":
        return
    for row, value in enumerate(values):
        if isinstance(value, str | bytes):
            raise ValueError(
                f"y holds text, {value!r} in row {row}: it must hold numbers; "
                "classes are for SpikeSlabClassifier"
            )


def warn_of_order(x: Any, y: Any) -> None:
    """Warn where the rows of X and y have the same labels in another order: they are taken by their place.

    Args:
        x: What was given as X.
        y: What was given as y.
    """
    ours: Any = getattr(x, "index", None)
    theirs: Any = getattr(y, "index", None)
    # Lists have an index that is no table of labels.
    if not all(hasattr(index, "equals") for index in (ours, theirs)) or len(ours) != len(theirs):
        return
    if (
        not ours.equals(theirs)
        and ours.is_unique
        and theirs.is_unique
        and len(ours.union(theirs)) == len(ours)
    ):
        warn_user(
            "the rows of X and y have the same labels in another order: they are taken by their place, as "
            "everywhere in scikit-learn. Sort one by the other first, as in y.loc[X.index]",
            UserWarning,
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


def constant_columns(
    x: Array, names: list[str], blocks: Sequence[LevelBlock], *, constants_allowed: bool
) -> npt.NDArray[np.bool_]:
    """Which columns never change, shape ``(p,)``; warns of them.

    In a part of the data, such as the training rows of one fold, a column may be constant that is none
    elsewhere. It is then left out of the predictor.

    Args:
        x: Columns, shape ``(n, p)``, of rows that count.
        names: Their names.
        blocks: Columns that stand for levels: these are constant only where all of a block are.
        constants_allowed: Whether only a column of zeros is one: where nothing is standardised and there
            is no intercept, a constant is a column like any other.

    Raises:
        ValueError: If all are.
    """
    low, high = x.min(0), x.max(0)
    size = np.maximum(np.abs(low), np.abs(high))
    constant: npt.NDArray[np.bool_] = (size == 0.0) | (
        (high - low <= _ROUNDING * size) & (not constants_allowed)
    )
    for block in blocks:
        columns = list(block.columns)
        constant[columns] = constant[columns].all()
    if constant.all():
        if len(x) == 1:
            raise ValueError(
                "X has 1 sample (n_samples = 1), in which every column is constant; give more rows, or set "
                "standardize=False and fit_intercept=False"
            )
        raise ValueError(
            f"X is constant in every column, such as {names[0]!r}, {low[0]:g}: nothing to select"
        )
    if constant.any():
        first = int(constant.argmax())
        others = ", ".join(repr(names[i]) for i in np.flatnonzero(constant)[1:4])
        warn_user(
            f"X is constant in column {names[first]!r}, {low[first]:g} in every row that counts"
            f"{f' (and in {others})' if others else ''}: the data say nothing about it. Its coefficient is "
            "0, and its PIP is what the prior says",
            ConstantColumnWarning,
        )
    return constant


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
    weights = np.array(sample_weight, dtype=np.float64)  # a copy: torch warns of read-only ones
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
