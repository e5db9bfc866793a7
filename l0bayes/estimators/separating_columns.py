r"""Columns that separate two classes without a mistake."""

from __future__ import annotations

import numpy as np
import torch

from l0bayes.estimators.input_tables import Array
from l0bayes.selection.trust.separation import is_separated
from l0bayes.user_warnings import warn_user

__all__ = ["SeparationWarning", "separating_columns", "warn_of_separation"]

# Above this it is not looked for: it takes too long.
_MOST_ENTRIES = 300_000


class SeparationWarning(UserWarning):
    """The likelihood has no maximum: the sizes of some coefficients come from the prior alone."""


def separating_columns(x: Array, y: Array) -> list[int]:
    """Columns that separate the classes by one threshold, up to ties on it.

    Args:
        x: Columns, shape ``(n, p)``.
        y: Zeros and ones, shape ``(n,)``.
    """
    zeros, ones = x[y == 0], x[y == 1]
    apart = (zeros.max(0) <= ones.min(0)) | (ones.max(0) <= zeros.min(0))
    return [int(index) for index in np.flatnonzero(apart)]


def warn_of_separation(x: Array, y: Array, names: list[str], *, intercept: bool) -> None:
    """Warn where the classes are separated, with what that does to the answer.

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
    elif (
        # With about as many columns as rows it is certain, and says nothing.
        x.shape[1] + intercept < len(x)
        and x.size <= _MOST_ENTRIES
        and is_separated(torch.from_numpy(x), torch.from_numpy(y), intercept=intercept)
    ):
        who = "the columns together separate"
    else:
        return
    warn_user(
        f"{who} the two classes: the likelihood rises for ever as the coefficients grow, so that how large "
        "they are is decided by slab_scale alone, and PIPs depend on it more than usual. The posterior is "
        "proper; read signs and PIPs, not sizes, and try another slab_scale to see what changes.",
        SeparationWarning,
    )
