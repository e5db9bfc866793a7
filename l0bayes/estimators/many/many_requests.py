r"""What is asked of several fits, checked before the first of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from l0bayes.estimators.estimator_base import SpikeSlabEstimator
from l0bayes.estimators.input_tables import is_frame

__all__ = ["check_request", "check_rows", "same_columns"]


def check_request(estimator: Any, rows: dict[str, Any], n_jobs: Any, *, scored: bool = False) -> None:
    """Refuse what no fit could take.

    Args:
        estimator: What is to be fitted.
        rows: What is given for each row, by the names of the arguments of ``fit``.
        n_jobs: Number of workers.
        scored: Whether ``score`` gets the same.

    Raises:
        TypeError: If it is no estimator, or takes no such arguments.
        ValueError: If its seed or the number of workers is none.
    """
    if not isinstance(estimator, SpikeSlabEstimator):
        what = f"the class {estimator.__name__}" if isinstance(estimator, type) else type(estimator).__name__
        raise TypeError(
            f"estimator must be an estimator of l0bayes, such as SpikeSlabRegressor(); got {what}"
        )
    if isinstance(estimator.random_state, np.random.Generator):
        raise ValueError(
            "random_state of the estimator must be None, a whole number or a numpy.random.RandomState; got a "
            "Generator: give a number drawn from it, as in int(generator.integers(2**31))"
        )
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool) or n_jobs == 0):
        raise ValueError(f"n_jobs must be a number of workers, -1 for all cores, or None; got {n_jobs!r}")
    takes = _row_arguments(estimator.fit)
    if scored:
        scoring: Any = estimator
        theirs = _row_arguments(scoring.score)
        takes = [name for name in takes if name in theirs]
    unknown = [name for name in rows if name not in takes]
    if unknown:
        raise TypeError(
            f"{type(estimator).__name__} does not take {', '.join(unknown)}: for each row it takes "
            f"{', '.join(takes)}"
        )


def _row_arguments(method: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(method).parameters if name not in ("X", "y")]


def check_rows(count: int, **values: Any) -> None:
    """Refuse what is not one a row.

    Args:
        count: Number of rows of X.
        **values: The response and what else is given for each row, by name; one number stands for all rows.

    Raises:
        ValueError: If one of them has another length.
    """
    for name, value in values.items():
        shape = np.shape(value)
        if shape and shape[0] != count:
            raise ValueError(f"{name} has {shape[0]} values for the {count} rows of X; give one a row")


def same_columns(tables: Sequence[Any]) -> list[Any]:
    """Tables whose columns have the same names, in the order of those of the first.

    Args:
        tables: Frames, arrays and whatever else ``fit`` takes.

    Raises:
        ValueError: If they have other rows or columns, by name.
    """
    shapes = [np.shape(table) for table in tables]
    if len({shape[:1] for shape in shapes}) > 1:
        raise ValueError(f"tables must have the same rows and columns, got the shapes {shapes}")
    first = _names(tables[0])
    found = []
    for number, table in enumerate(tables, start=1):
        names = _names(table)
        missing = [repr(name) for name in first if name not in names]
        extra = [repr(name) for name in names if name not in first]
        if missing or extra or len(names) != len(first):
            differ = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(extra)}"] * bool(
                extra
            )
            raise ValueError(
                "tables must have the same rows and columns, of which some cells were missing: beside the "
                f"first, table {number} {' and '.join(differ) or 'repeats a column'}"
            )
        if names != first and not is_frame(table):
            raise ValueError(f"tables must have their columns in the same order: table {number} has another")
        found.append(table if names == first else table[first])
    return found


def _names(table: Any) -> list[Any]:
    """Names of columns; those of scikit-learn where they have none."""
    if is_frame(table):
        return list(table.columns)
    known = getattr(table, "column_names", None)  # of Arrow
    return [f"x{index}" for index in range(np.shape(table)[1])] if known is None else list(known)
