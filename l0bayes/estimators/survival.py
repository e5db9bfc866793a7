r"""Survival times with their event indicators, in the forms that users have them; and their concordance."""

from __future__ import annotations

from typing import Any

import numpy as np

from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.row_terms import ROUTING

__all__ = ["concordance", "times_and_events"]

_BLOCK = 4_000_000


def times_and_events(y: Any, event: Any) -> tuple[Array, Array]:
    """Times and zeros and ones.

    Args:
        y: Times, shape ``(n,)``, beside ``event``; or both: an array or frame of two columns, a structured
            array of two fields (of which the truth values are the events), or a pair of arrays.
        event: 1 or true where the event was seen; ``None`` where y holds it.

    Raises:
        ValueError: If it is given twice or not at all, shapes do not fit, a time is negative or not finite,
            or an indicator is neither 0 nor 1; by row.
    """
    time = y
    names = getattr(getattr(y, "dtype", None), "names", None)
    if names and len(names) == 2:
        kinds = [np.asarray(y[name]).dtype.kind for name in names]
        seen = names[kinds.index("b")] if "b" in kinds else names[1]
        time, held = y[next(name for name in names if name != seen)], y[seen]
    elif isinstance(y, tuple) and len(y) == 2:
        time, held = y
    elif np.ndim(y) == 2 and np.asarray(y).shape[1] == 2:
        columns = np.asarray(y)
        time, held = columns[:, 0], columns[:, 1]
    else:
        held = None
    if held is not None and event is not None:
        raise ValueError("event is given twice: in y beside the times, and as event=")
    if held is None and event is None:
        raise ValueError(
            "event must be given, one a row: 1 where the event was seen at the time, 0 where the row was "
            f"lost from sight; as event=, or as the second column of y. {ROUTING}, and a y of two columns "
            "comes there in any case"
        )
    times = _numbers("time", time)
    events = _numbers("event", event if held is None else held)
    if events.shape != times.shape:
        raise ValueError(f"event must have shape {times.shape}, as the times have; got {events.shape}")
    wrong = ~np.isfinite(times) | (times < 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"time must hold times, not negative; got {times[row]:g} in row {row} "
            f"({int(wrong.sum())} such rows). A time is that from the start of watching a row to its event, "
            "or to when it was lost from sight: leave out rows without one"
        )
    wrong = (events != 0) & (events != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"event must hold 1 where the event was seen and 0 where not; got {events[row]:g} in "
            f"row {row} ({int(wrong.sum())} such rows). Of other codes give event=(status == 2) with the one "
            "that means the event"
        )
    return times, events


def _numbers(name: str, values: Any) -> Array:
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        first = next(
            (one for one in np.ravel(np.asarray(values, dtype=object)) if isinstance(one, str)), None
        )
        got = "" if first is None else f"; got {first!r}"
        instead = (
            ": give event=(status == 'dead') with the word that means the event" if name == "event" else ""
        )
        raise ValueError(f"{name} must hold numbers, one a row{got}{instead}") from error
    if numbers.ndim != 1:
        raise ValueError(f"{name} must have one number a row, got shape {numbers.shape}")
    return numbers


def concordance(time: Array, event: Array, risk: Array, weights: Array) -> float:
    """Share of comparable pairs of rows in which the one with the event first has the higher risk.

    Harrell's C: a pair is comparable where the shorter time is an event's; equal risks count one half.

    Args:
        time: Times, shape ``(n,)``.
        event: 1 where the event was seen, shape ``(n,)``.
        risk: Predicted risks, shape ``(n,)``.
        weights: Weights of the rows; of a pair their product.
    """
    seen = np.flatnonzero(event > 0)
    right = total = 0.0
    for index in np.array_split(seen, max(1, len(seen) * len(time) // _BLOCK)):
        later = (time[index, None] < time) | ((time[index, None] == time) & (event == 0))
        pairs = later * weights[index, None] * weights
        right += float((pairs * ((risk[index, None] > risk) + 0.5 * (risk[index, None] == risk))).sum())
        total += float(pairs.sum())
    return right / total if total > 0.0 else float("nan")
