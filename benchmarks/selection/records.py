"""What a run took, how far it was off, and the worst of several."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Row", "is_figure", "largest_error", "timed", "worst"]

Array = NDArray[np.float64]
Row = dict[str, Any]
T = TypeVar("T")


def timed(run: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """What a call gives, and the seconds by the clock and of the processor that it took.

    Args:
        run: The call.
    """
    begun, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - cpu,
    }


def largest_error(found: Array, truth: Array) -> float:
    """The largest difference of two vectors.

    Args:
        found: One.
        truth: The other.
    """
    return float(np.abs(np.asarray(found) - truth).max())


def worst(rows: list[Row], by: tuple[str, ...], names: tuple[str, ...]) -> list[Row]:
    """The largest of each figure among the runs of a kind; figures that a kind lacks are left out.

    Args:
        rows: The runs.
        by: What tells kinds apart.
        names: The figures.
    """
    kinds = list(dict.fromkeys(tuple(row[key] for key in by) for row in rows))
    result = []
    for kind in kinds:
        own = [row for row in rows if tuple(row[key] for key in by) == kind]
        figures = {name: [row[name] for row in own if is_figure(row.get(name))] for name in names}
        largest = {name: max(values) for name, values in figures.items() if values}
        result.append({**dict(zip(by, kind, strict=True)), "runs": len(own), **largest})
    return result


def is_figure(value: Any) -> bool:
    """Whether there is a number.

    Args:
        value: What may be one.
    """
    return value is not None and not math.isnan(value)
