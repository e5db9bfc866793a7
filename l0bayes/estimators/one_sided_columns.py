r"""Columns by whose effect a likelihood of counts or of survival rises for ever."""

from __future__ import annotations

import numpy as np

from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.separating_columns import SeparationWarning
from l0bayes.user_warnings import warn_user

__all__ = ["columns_of_order", "columns_without_counts", "warn_of_one_side", "warn_of_zeros"]


def columns_without_counts(x: Array, y: Array) -> list[int]:
    """Columns that are one number wherever there are counts, and elsewhere on one side of it.

    Such as a factor's level in which all counts are 0.

    Args:
        x: Columns, shape ``(n, p)``.
        y: Counts, shape ``(n,)``.
    """
    some, none = x[y > 0], x[y == 0]
    if not len(some) or not len(none):
        return []
    level = some[0]
    flat = (some == level).all(0)
    aside = ((none >= level).all(0) | (none <= level).all(0)) & (none != level).any(0)
    return [int(index) for index in np.flatnonzero(flat & aside)]


def columns_of_order(x: Array, time: Array, event: Array) -> list[int]:
    """Columns in whose order events come: at each one, the row has the largest value of those at risk.

    Or at each one the smallest.

    Args:
        x: Columns, shape ``(n, p)``.
        time: Times, shape ``(n,)``.
        event: 1 where the event was seen, shape ``(n,)``.
    """
    order = np.argsort(-time, kind="stable")
    x, time, seen = x[order], time[order], event[order] > 0
    last = np.searchsorted(-time, -time, side="right") - 1
    found = np.zeros(x.shape[1], dtype=bool)
    for values in (x, -x):
        top = np.maximum.accumulate(values, axis=0)[last]
        found |= (values[seen] == top[seen]).all(0)
    return [int(index) for index in np.flatnonzero(found & (x != x[0]).any(0))]


def warn_of_one_side(columns: list[int], names: list[str], what: str) -> None:
    """Warn of such columns, with what that does to the answer.

    Args:
        columns: Their numbers; nothing is said where there are none.
        names: Names of all columns.
        what: What they do: ``"has counts on one side only"``.
    """
    if not columns:
        return
    more = f" (and {len(columns) - 1} more)" if len(columns) > 1 else ""
    warn_user(
        f"column {names[columns[0]]!r}{more} {what}: the likelihood rises for ever as its coefficient grows, "
        "so that how large it is is decided by slab_scale alone, and PIPs depend on it more than usual. The "
        "posterior is proper; read signs and PIPs, not sizes, and try another slab_scale to see. A rare "
        "level of a factor can be merged with others.",
        SeparationWarning,
    )


def warn_of_zeros(x: Array, y: Array, names: list[str]) -> None:
    """Warn of columns by whose effect a likelihood of counts rises for ever.

    Args:
        x: Columns, shape ``(n, p)``.
        y: Counts, shape ``(n,)``.
        names: Names of the columns.
    """
    found = columns_without_counts(x, y)
    warn_of_one_side(found, names, "differs from one number only in rows whose count is 0")
