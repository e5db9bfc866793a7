r"""The abilities of a guide: no other file asks a guide for its methods.

The guides of this library have all of them. A guide from elsewhere, such as Pyro's own, has an ability where
it has a method of that name; nothing has to be inherited. A combination such as Pyro's ``AutoGuideList`` has
the gates of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from l0bayes.distributions import GateLaw

__all__ = ["GateGuide", "GatePart", "GuideAbilities", "guide_abilities"]


@runtime_checkable
class GateGuide(Protocol):
    """A guide, or a part of one, that holds gates."""

    def gates(self) -> dict[str, GateLaw]:
        """The posterior law of every gate site, elementwise and at full plate size."""
        ...


@dataclass(frozen=True)
class GatePart:
    """A part of a guide that holds gates, and its abilities. A method that it lacks is ``None``.

    Attributes:
        guide: The part itself.
        parameters: Its method ``gate_parameters``: the parameters of its gates, which have a learning rate of
            their own.
        reopen: Its method ``reopen``: puts a gate, by site and index, back to where it started.
        tied: Whether the gates of a site share one probability (attribute ``tied``).
    """

    guide: GateGuide
    parameters: Callable[[], Iterable[torch.nn.Parameter]] | None
    reopen: Callable[[str, tuple[int, ...]], None] | None
    tied: bool


@dataclass(frozen=True)
class GuideAbilities:
    """The abilities of a guide beside being run. A method that it lacks is ``None``.

    Attributes:
        parts: The parts that hold gates: the guide itself, or parts of a combination.
        temperatures: The temperature buffers of the gates (attribute ``temperature``), changed in place by
            schedules.
        perturb: Moves the parameters at random, by a seed, for a restart from another place.
        harden: Gives a copy with binary gates of the same activity.
        draw: Gives a number of joint draws of all sites.
        laws: Gives the law of every site, all of them independent, elementwise.
        objective: Gives the objective that a part asks to be trained on, from a number of particles.
    """

    parts: tuple[GatePart, ...]
    temperatures: tuple[Tensor, ...]
    perturb: Callable[[int], Any] | None
    harden: Callable[[], Any] | None
    draw: Callable[[int], dict[str, Tensor]] | None
    laws: Callable[[], dict[str, Any]] | None
    objective: Callable[[int], Any] | None


def guide_abilities(guide: Any) -> GuideAbilities:
    """Find the abilities of a guide.

    Args:
        guide: Any guide, a function or a module.
    """
    parts = tuple(_part(part) for part in _gate_guides(guide))
    heat = [getattr(one, "temperature", None) for one in (guide, *(part.guide for part in parts))]
    unique = {id(value): value for value in heat if isinstance(value, Tensor)}
    return GuideAbilities(
        parts=parts,
        temperatures=tuple(unique.values()),
        perturb=_method(guide, "perturb"),
        harden=_method(guide, "harden"),
        draw=_method(guide, "draw"),
        laws=_method(guide, "laws"),
        objective=next(_own_objectives(guide), None),
    )


def _part(guide: GateGuide) -> GatePart:
    return GatePart(
        guide,
        _method(guide, "gate_parameters"),
        _method(guide, "reopen"),
        bool(getattr(guide, "tied", False)),
    )


def _method(thing: Any, name: str) -> Callable[..., Any] | None:
    found = getattr(thing, name, None)
    return found if callable(found) else None


def _gate_guides(guide: Any) -> Iterator[GateGuide]:
    if isinstance(guide, GateGuide):
        yield guide
    elif isinstance(guide, torch.nn.Module):
        for part in guide.children():
            yield from _gate_guides(part)


def _own_objectives(guide: Any) -> Iterator[Callable[[int], Any]]:
    parts: list[Any] = [*guide.modules()] if isinstance(guide, torch.nn.Module) else [guide]
    for part in parts:
        if callable(getattr(type(part), "objective", None)):
            yield part.objective
