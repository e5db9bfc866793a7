r"""Columns that tell two classes apart without a mistake."""

from __future__ import annotations

import warnings

import numpy as np

from l0bayes.estimators.tables import Array

__all__ = ["SeparationWarning", "separating_columns", "separation", "warn_of_separation"]

# Above this a linear program takes longer than it tells.
_MOST_ENTRIES = 300_000


class SeparationWarning(UserWarning):
    """The likelihood has no maximum: the sizes of some coefficients come from the prior alone."""


def separating_columns(x: Array, y: Array) -> list[int]:
    """Columns of which a threshold, alone, parts the classes, but for ties on it.

    Args:
        x: Columns, shape ``(n, p)``.
        y: Zeros and ones, shape ``(n,)``.
    """
    zeros, ones = x[y == 0], x[y == 1]
    apart = (zeros.max(0) <= ones.min(0)) | (ones.max(0) <= zeros.min(0))
    return [int(index) for index in np.flatnonzero(apart)]


def separation(x: Array, y: Array, *, intercept: bool = True) -> bool:
    r"""Whether some b has :math:`x_i'b \ge 0` in class 1 and :math:`\le 0` in class 0, not all of them 0.

    This is Albert and Anderson's (1984) complete or quasi-complete separation, found by a linear program:
    the largest sum of margins over a box is 0 if there is none. Not looked for where there are about as many
    columns as rows, where it is certain, or where the program would be long.

    Args:
        x: Columns, shape ``(n, p)``.
        y: Zeros and ones, shape ``(n,)``.
        intercept: Whether there is an intercept.
    """
    n, p = x.shape
    if p + intercept >= n or x.size > _MOST_ENTRIES:
        return False
    from scipy.optimize import linprog

    scaled = x / np.abs(x).max(0).clip(min=1e-300)
    columns = np.column_stack([np.ones(n), scaled]) if intercept else scaled
    signed = np.where(y[:, None] == 1, columns, -columns)
    found = linprog(-signed.sum(0), A_ub=-signed, b_ub=np.zeros(n), bounds=(-1.0, 1.0), method="highs")
    return bool(found.status == 0 and -found.fun > 1e-6 * n)


def warn_of_separation(x: Array, y: Array, names: list[str], *, intercept: bool) -> None:
    """Warn where the classes are separated, and say what that does to the answer.

    Args:
        x: Columns, shape ``(n, p)``.
        y: Zeros and ones, shape ``(n,)``.
        names: Names of the columns.
        intercept: Whether there is an intercept.
    """
    alone = separating_columns(x, y) if intercept else []
    if alone:
        shown = ", ".join(repr(names[index]) for index in alone[:5])
        more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
        who = f"column{'s' if len(alone) > 1 else ''} {shown}{more} separate{'' if len(alone) > 1 else 's'}"
    elif separation(x, y, intercept=intercept):
        who = "the columns together separate"
    else:
        return
    warnings.warn(
        f"{who} the two classes: the likelihood rises for ever as the coefficients grow, so that how large "
        "they are is decided by slab_scale alone, and PIPs depend on it more than usual. The posterior is "
        "proper; read signs and PIPs, not sizes, and try another slab_scale to see what changes.",
        SeparationWarning,
        stacklevel=4,
    )
