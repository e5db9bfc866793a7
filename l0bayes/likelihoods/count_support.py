"""Which numbers are counts."""

from __future__ import annotations

import math

from torch import Tensor

__all__ = ["count_violations"]


def count_violations(y: Tensor, whole: bool = True) -> list[tuple[str, Tensor]]:
    """Conditions on counts, each with where it is not met.

    Args:
        y: Values, any shape.
        whole: Whether they must be whole.
    """
    negative = ("not be negative", ~(y >= 0))
    if not whole:
        return [negative, ("be finite", y == math.inf)]
    return [negative, ("be whole numbers", (y != y.round()) | (y == math.inf))]
