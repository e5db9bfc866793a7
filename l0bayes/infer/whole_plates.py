"""Plates that draw a part of their rows, run with all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any

from pyro.poutine.subsample_messenger import SubsampleMessenger
from pyro.poutine.util import site_is_subsample

__all__ = ["PartOfPlate", "parts_of_plates", "whole_plates"]

_WIDENED: ContextVar[list[str] | None] = ContextVar("plates that were made whole", default=None)
_LOCK = Lock()
_users = 0
_METHOD = "_subsample"
_DRAW = SubsampleMessenger._subsample


@dataclass(frozen=True)
class PartOfPlate:
    """A plate that held a part of its rows.

    Attributes:
        name: Name of the plate.
        rows: Number of rows that it held.
        size: Number of rows that there are.
        drawn: Whether the plate drew them, and was not given them.
    """

    name: str
    rows: int
    size: int
    drawn: bool

    def __str__(self) -> str:
        return f"plate {self.name!r} holds {self.rows} of {self.size} rows, a subsample that it " + (
            "draws" if self.drawn else "is given"
        )


def parts_of_plates(traces: Iterable[Any]) -> list[PartOfPlate]:
    """The plates of which traces hold a part.

    Args:
        traces: Traces with the sites of subsamples still in them.
    """
    found: dict[str, PartOfPlate] = {}
    for trace in traces:
        for name, site in trace.nodes.items():
            if not site_is_subsample(site):
                continue
            rows, size, drawn = len(site["value"]), site["fn"].size, site["fn"].subsample_size is not None
            if rows < size:  # a model is given what its guide drew
                drawn |= name in found and found[name].drawn
                found[name] = PartOfPlate(name, rows, size, drawn)
    return list(found.values())


def _draw(
    name: str,
    size: int | None = None,
    subsample_size: int | None = None,
    subsample: Any = None,
    *args: Any,
) -> Any:
    widened = _WIDENED.get()
    if widened is not None and subsample is None and subsample_size is not None:
        if size is not None and subsample_size < size:
            widened.append(name)
        subsample_size = None
    return _DRAW(name, size, subsample_size, subsample, *args)


@contextmanager
def whole_plates() -> Iterator[list[str]]:
    """Run plates that draw a part of their rows with all of them, in order; scales of subsampling are then 1.

    A plate that is given its rows keeps them. The size of what a plate draws is no part of any message that
    an effect handler sees, so that its drawing itself is replaced meanwhile, for the thread that asks.

    Returns:
        A list to which the plates are added that would have held a part.
    """
    global _users
    with _LOCK:
        _users += 1
        setattr(SubsampleMessenger, _METHOD, staticmethod(_draw))
    widened: list[str] = []
    token = _WIDENED.set(widened)
    try:
        yield widened
    finally:
        _WIDENED.reset(token)
        with _LOCK:
            _users -= 1
            if not _users:
                setattr(SubsampleMessenger, _METHOD, staticmethod(_DRAW))
