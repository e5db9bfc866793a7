"""The records that gate and slab sites leave on a Pyro trace, for guides to read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "GateLink",
    "GateSite",
    "SampledGate",
    "SlabSite",
    "WeightSite",
    "gate_record",
    "slab_record",
    "weight_record",
]

_KEY = "l0bayes"


@dataclass(frozen=True, eq=False)
class GateSite:
    """The mark of a gate site. Each time a gate is sampled it has one of its own.

    Attributes:
        event_dim: Number of event dimensions of the gates at the site.
    """

    event_dim: int


@dataclass(frozen=True)
class GateLink:
    """One gate of a slab: the gate's site, and how its values spread over the weights.

    Attributes:
        site: Name of the gate site; on a slab's own record as the model said it, without what handlers make
            of it. :func:`~l0bayes.sites.slab_links` has the name in the trace.
        event_dim: Number of event dimensions at that site.
        shape: Shape that the gates' event takes beside the weights' event, of equal length.
        groups: Index of each weight's gate, which broadcasts to the slab's event shape; ``None`` to
            broadcast the gates themselves.
        partial: Whether some of ``groups`` are -1, for weights that this gate does not multiply.
        gate: The mark of the gate, by which it is found in the trace.
        value: The value that multiplies the slab.
    """

    site: str
    event_dim: int
    shape: tuple[int, ...]
    groups: Tensor | None = None
    partial: bool = False
    gate: GateSite | None = field(default=None, compare=False, repr=False)
    value: Tensor | None = field(default=None, compare=False, repr=False)

    def spread(self, values: Tensor) -> Tensor:
        """Lay gate values (batch + gate event shape) out so that they broadcast to the weights."""
        if self.groups is not None:
            if self.partial:  # -1 is the index of the one that is appended
                values = torch.cat([values, values.new_ones(*values.shape[:-1], 1)], -1)
            return values[..., self.groups]
        batch = values.shape[: values.dim() - self.event_dim]
        return values.reshape(batch + self.shape)


@dataclass(frozen=True, eq=False)
class SlabSite:
    """The mark of a slab site.

    Attributes:
        gates: The gates whose product multiplies the slab.
        weight: Name of the deterministic site of the effective weight, as the model said it.
        init: Where a guide may start, of the slab's shape.
    """

    gates: tuple[GateLink, ...]
    weight: str
    init: Tensor | None = None


@dataclass(frozen=True)
class WeightSite:
    """The mark of an effective weight.

    Attributes:
        slab: The mark of its slab.
    """

    slab: SlabSite


@dataclass(frozen=True)
class SampledGate:
    """A sampled gate, to be shared by several slabs.

    Attributes:
        name: Name of the gate's sample site.
        value: The sampled value in [0, 1], of shape batch + event shape of the site.
        event_dim: Number of event dimensions at the site.
        shape: Shape of the event as it stands beside a slab's event; see :meth:`view`.
        index: Gate of each entry of a slab's event, or of what broadcasts to it; see :meth:`at`.
        partial: Whether the index leaves some entries out.
        record: The mark of the gate's site.
    """

    name: str
    value: Tensor
    event_dim: int
    shape: tuple[int, ...]
    index: Tensor | None = None
    partial: bool = False
    record: GateSite | None = field(default=None, compare=False, repr=False)

    def view(self, *shape: int) -> SampledGate:
        """The same gate, its event laid out in another shape, to broadcast against a slab.

        A gate of shape ``(out,)`` beside weights of event shape ``(out, in)`` is ``view(out, 1)``.

        Raises:
            ValueError: If the number of gates differs.
        """
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"gate {self.name!r} of shape {self.shape} cannot be viewed as {shape}")
        return replace(self, shape=shape)

    def at(self, index: Tensor, partial: bool = False) -> SampledGate:
        """The same gate, laid out by index beside a slab.

        Args:
            index: Gate of each weight, ``torch.long``, of a shape that broadcasts to the slab's event.
            partial: Whether some of ``index`` are -1, for weights that this gate does not multiply. (It is
                not looked up, since models run where values may not be read.)

        Raises:
            ValueError: If the gate has several dimensions.
        """
        if self.event_dim != 1:
            raise ValueError(f"an index needs a gate of one dimension; {self.name!r} has {self.event_dim}")
        return replace(self, index=index, partial=partial)

    def link(self, event_shape: torch.Size, groups: Tensor | None) -> GateLink:
        """How this gate spreads over weights of an event shape, through ``groups`` where given.

        Raises:
            ValueError: If shapes do not match.
        """
        if groups is not None:
            if self.event_dim != 1:
                raise ValueError(f"groups need a gate of one dimension; {self.name!r} has {self.event_dim}")
            return self._link(1, self.shape, groups)
        if self.index is not None:
            if not broadcasts_to(tuple(self.index.shape), event_shape):
                raise ValueError(
                    f"the index of gate {self.name!r}, of shape {tuple(self.index.shape)}, does not "
                    f"broadcast to the slab's event shape {tuple(event_shape)}"
                )
            return self._link(1, self.shape, self.index, self.partial)
        shape = (1,) * (len(event_shape) - len(self.shape)) + self.shape
        if not broadcasts_to(shape, event_shape):
            raise ValueError(
                f"gate {self.name!r} of shape {self.shape} does not broadcast to the slab's event "
                f"shape {tuple(event_shape)}"
            )
        return self._link(self.event_dim, shape)

    def _link(
        self, event_dim: int, shape: tuple[int, ...], groups: Tensor | None = None, partial: bool = False
    ) -> GateLink:
        return GateLink(self.name, event_dim, shape, groups, partial, self.record, self.value)


def mark(record: GateSite | SlabSite | WeightSite) -> Any:
    """The ``infer`` dictionary of a site that carries a record."""
    return {_KEY: record}


def gate_record(site: dict[str, Any]) -> GateSite | None:
    """The gate record of a trace site, or ``None`` if the site is no gate.

    Args:
        site: A node of a Pyro trace, or a message.
    """
    found = site["infer"].get(_KEY)
    return found if isinstance(found, GateSite) else None


def slab_record(site: dict[str, Any]) -> SlabSite | None:
    """The slab record of a trace site, or ``None`` if the site is no slab.

    Args:
        site: A node of a Pyro trace, or a message.
    """
    found = site["infer"].get(_KEY)
    return found if isinstance(found, SlabSite) else None


def weight_record(site: dict[str, Any]) -> WeightSite | None:
    """The record of an effective weight, or ``None`` if the site is none.

    Args:
        site: A node of a Pyro trace, or a message.
    """
    found = site["infer"].get(_KEY)
    return found if isinstance(found, WeightSite) else None


def broadcasts_to(shape: tuple[int, ...], wanted: torch.Size) -> bool:
    """Whether ``shape`` broadcasts to ``wanted`` without enlarging it."""
    if len(shape) > len(wanted):
        return False
    padded = (1,) * (len(wanted) - len(shape)) + tuple(shape)
    return all(have in (1, want) for have, want in zip(padded, wanted, strict=True))
