r"""Checks and start values that the gate families share."""

from __future__ import annotations

import math

__all__ = ["check_temperature", "logit_of_start"]


def check_temperature(value: float, name: str = "temperature") -> float:
    """The value as a float.

    Args:
        value: A temperature.
        name: What the argument is called.

    Raises:
        ValueError: If it is not positive.
    """
    if not value > 0.0:
        raise ValueError(f"{name} must be positive, got {value!r}")
    return float(value)


def logit_of_start(init_active: float) -> float:
    """Logit of the activity at the start.

    Args:
        init_active: Probability that a gate is active.

    Raises:
        ValueError: If it is not strictly between 0 and 1.
    """
    if not 0.0 < init_active < 1.0:
        raise ValueError(f"init_active must lie strictly between 0 and 1, got {init_active!r}")
    return math.log(init_active) - math.log1p(-init_active)
