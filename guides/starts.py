r"""The option ``init_active`` of guides: the activity of gates at the start."""

from __future__ import annotations

import math

from l0bayes import validate

__all__ = ["logit_of_start"]


def logit_of_start(init_active: float) -> float:
    """Logit of the activity at the start.

    Args:
        init_active: Probability that a gate is active.

    Raises:
        ValueError: If it is not strictly between 0 and 1.
    """
    validate.inside("(0, 1)", init_active=init_active)
    return math.log(init_active) - math.log1p(-init_active)
