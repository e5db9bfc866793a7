r"""Schedules: a value that changes with the progress of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Constant", "Geometric", "Linear", "Schedule", "as_schedule"]

Schedule = Callable[[float], float]
"""From progress in [0, 1] (steps done over steps planned) to a value."""


@dataclass(frozen=True)
class Constant:
    """The same value throughout.

    Args:
        value: The value.
    """

    value: float

    def __call__(self, progress: float) -> float:
        return self.value


@dataclass(frozen=True)
class _Ramp:
    start: float
    stop: float
    begin: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.begin < self.end <= 1.0:
            raise ValueError(
                f"begin and end must satisfy 0 <= begin < end <= 1, got {self.begin!r} and {self.end!r}"
            )

    def _fraction(self, progress: float) -> float:
        return min(1.0, max(0.0, (progress - self.begin) / (self.end - self.begin)))


class Linear(_Ramp):
    """From ``start`` to ``stop`` on a straight line between two points of training.

    Args:
        start: Value until ``begin``.
        stop: Value from ``end`` on.
        begin: Progress at which it starts to move, in [0, 1).
        end: Progress at which it has arrived, in (0, 1].

    Raises:
        ValueError: If ``begin`` and ``end`` are not in order inside [0, 1].
    """

    def __call__(self, progress: float) -> float:
        return self.start + (self.stop - self.start) * self._fraction(progress)


class Geometric(_Ramp):
    """From ``start`` to ``stop`` by equal factors, as suits temperatures.

    Args:
        start: Positive value until ``begin``.
        stop: Positive value from ``end`` on.
        begin: Progress at which it starts to move, in [0, 1).
        end: Progress at which it has arrived, in (0, 1].

    Raises:
        ValueError: If a value is not positive, or ``begin`` and ``end`` are not in order.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.start > 0 and self.stop > 0):
            raise ValueError(f"start and stop must be positive, got {self.start!r} and {self.stop!r}")

    def __call__(self, progress: float) -> float:
        log_ratio = math.log(self.stop) - math.log(self.start)
        return self.start * math.exp(log_ratio * self._fraction(progress))


def as_schedule(value: float | Schedule) -> Schedule:
    """A number as a constant schedule; schedules as they are.

    Args:
        value: A number or a schedule.
    """
    return value if callable(value) else Constant(float(value))
