r"""The abilities of a guide: no other file asks a guide for its methods.

The guides of this library have all of them. A guide from elsewhere, such as Pyro's own, has an ability where
it has a method of that name; nothing has to be inherited. A combination such as Pyro's ``AutoGuideList`` has
the gates of its parts, and is hardened and perturbed as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from l0bayes.distributions import GatedSlab, GateLaw
from l0bayes.infer.guide_combinations import harden_parts, perturb_parts

__all__ = ["DirectGuide", "GateGuide", "GatePart", "GuideAbilities"]


@runtime_checkable
class GateGuide(Protocol):
    """A guide, or a part of one, that holds gates."""

    def gates(self) -> dict[str, GateLaw]:
        """The posterior law of every gate site, elementwise and at full plate size."""
        ...


@runtime_checkable
class DirectGuide(Protocol):
    """A guide of independent gates and slabs that says what their laws are without being run."""

    def gates(self) -> dict[str, GateLaw]:
        """The posterior law of every gate site."""
        ...

    def slab_given_open(self, site: str) -> Any:
        """The law of a slab given that its gates are open, elementwise.

        Args:
            site: The slab.
        """
        ...

    def draw_slab(self, site: str) -> Tensor:
        """A draw from that law, with its gradient.

        Args:
            site: The slab.
        """
        ...

    def weighted_slab(self, site: str, gates: Mapping[str, GateLaw]) -> GatedSlab:
        """The law of a slab with the probability that its gates are open.

        Args:
            site: The slab.
            gates: The laws of all gates.
        """
        ...


class GatePart:
    """A part of a guide that holds gates, and its abilities. A method that it lacks is ``None``.

    Args:
        guide: The part itself.
    """

    def __init__(self, guide: GateGuide) -> None:
        self.guide = guide

    @property
    def parameters(self) -> Callable[[], Iterable[torch.nn.Parameter]] | None:
        """Its method ``gate_parameters``: gives the parameters of its gates."""
        return _method(self.guide, "gate_parameters")

    @property
    def reopen(self) -> Callable[[str, tuple[int, ...]], None] | None:
        """Its method ``reopen``: puts a gate, by site and index, back to where it started."""
        return _method(self.guide, "reopen")

    @property
    def tied(self) -> bool:
        """Whether the gates of a site share one probability: its attribute ``tied``."""
        return bool(getattr(self.guide, "tied", False))


class GuideAbilities:
    """The abilities of a guide beside being run. A method that it lacks is ``None``.

    Args:
        guide: Any guide, a function or a module.
    """

    def __init__(self, guide: Any) -> None:
        self.guide = guide

    @property
    def parts(self) -> list[GatePart]:
        """The parts that hold gates: the guide itself, or parts of a combination."""
        return [GatePart(part) for part in _gate_guides(self.guide)]

    @property
    def temperatures(self) -> list[Tensor]:
        """The temperature buffers of the gates, attributes ``temperature``, changed in place by schedules."""
        heat = (getattr(one, "temperature", None) for one in (self.guide, *_gate_guides(self.guide)))
        return [*{id(value): value for value in heat if isinstance(value, Tensor)}.values()]

    @property
    def perturb(self) -> Callable[[int], Any] | None:
        """Moves the parameters at random, by a seed, for a restart from another place."""
        own = _method(self.guide, "perturb")
        return perturb_parts(self.guide, self._parts_with("perturb")) if own is None else own

    @property
    def harden(self) -> Callable[[], Any] | None:
        """Gives a copy with binary gates of the same activity."""
        own = _method(self.guide, "harden")
        return harden_parts(self.guide, self._parts_with("harden")) if own is None else own

    @property
    def direct(self) -> DirectGuide | None:
        """The guide, if its laws are known without running it."""
        return self.guide if isinstance(self.guide, DirectGuide) else None

    @property
    def decide(self) -> Callable[[Mapping[str, Tensor]], None] | None:
        """Puts gates, by site, to where they are open or shut for certain."""
        return _method(self.guide, "decide")

    @property
    def cut(self) -> Callable[..., tuple[Any, dict[str, Any]]] | None:
        """Gives the guide of a model that was cut, and where its parameters come from."""
        return _method(self.guide, "cut")

    @property
    def draw(self) -> Callable[[int], dict[str, Tensor]] | None:
        """Gives a number of joint draws of all sites."""
        return _method(self.guide, "draw")

    @property
    def laws(self) -> Callable[[], dict[str, Any]] | None:
        """Gives the law of every site, all of them independent, elementwise."""
        return _method(self.guide, "laws")

    @property
    def objective(self) -> Callable[[int], Any] | None:
        """Gives the objective that a part asks to be trained on, from a number of particles."""
        guide = self.guide
        parts: list[Any] = [*guide.modules()] if isinstance(guide, torch.nn.Module) else [guide]
        asking = (part for part in parts if callable(getattr(type(part), "objective", None)))
        return next((part.objective for part in asking), None)

    def _parts_with(self, name: str) -> list[Any]:
        """The parts with gates, if all of them have a method; none of them otherwise."""
        parts = [*_gate_guides(self.guide)]
        return parts if all(_method(part, name) is not None for part in parts) else []


def _method(thing: Any, name: str) -> Callable[..., Any] | None:
    found = getattr(thing, name, None)
    return found if callable(found) else None


def _gate_guides(guide: Any) -> Iterator[GateGuide]:
    if isinstance(guide, GateGuide):
        yield guide
    elif isinstance(guide, torch.nn.Module):
        for part in guide.children():
            yield from _gate_guides(part)
