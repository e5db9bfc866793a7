"""A network laid out for gates, and everything that can be done with it once they have values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network import (
    GatePlan,
    Gates,
    ParameterLink,
    chosen_places,
    gated,
    link_parameters,
    plan_gates,
    prepare,
    shrink,
    trace_units,
)

__all__ = ["LaidOutNetwork", "lay_out"]


@dataclass
class LaidOutNetwork:
    """A prepared network and its plan.

    Attributes:
        net: The network.
        plan: Its gates.
        x: A batch of what it reads.
    """

    net: nn.Module
    plan: GatePlan
    x: Tensor

    def gates(self, seed: int, low: float = 0.0, high: float = 1.0, keep: bool = True) -> dict[str, Tensor]:
        """Random gates by site: shut or open, or, with ``low`` above 0, shut or between the two.

        Args:
            seed: Seed of the draw.
            low: Least value of an open gate.
            high: Its greatest value.
            keep: Whether a quarter of each site is open for certain.
        """
        generator = torch.Generator().manual_seed(seed)
        gates = {}
        for name, spec in self.plan.specs.items():
            opened = (torch.rand(spec.shape, generator=generator) < 0.6).double()
            if keep:  # something is left everywhere
                opened.view(-1)[: max(1, opened.numel() // 4)] = 1.0
            values = low + (high - low) * torch.rand(spec.shape, generator=generator).double()
            gates[name] = opened if (low, high) == (0.0, 1.0) else opened * values
        return gates

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The slabs' own values, by name."""
        own = dict(self.net.named_parameters())
        return {name: own[name].detach() for name in self.links}

    @property
    def links(self) -> dict[str, list[ParameterLink]]:
        """The gates that each slab is tied to."""
        return link_parameters(self.net, self.plan)

    def run(
        self,
        gates: Mapping[str, Tensor],
        x: Tensor | None = None,
        parameters: Mapping[str, Tensor] | None = None,
        live: Mapping[str, Any] | None = None,
    ) -> Any:
        """The gated run.

        Args:
            gates: Values by site.
            x: What the network reads; by default its batch.
            parameters: Values of the slabs; by default their own.
            live: Layers that are computed in part.
        """
        slabs = self.parameters if parameters is None else parameters
        return gated(self.net, self.plan, slabs, gates, (self.x if x is None else x,), live)

    def multiplied(self, gates: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Slabs with the gates on single weights and on slices multiplied in.

        Args:
            gates: Values by site.
        """
        values, own = self.parameters, dict(self.net.named_parameters())
        for name, site in self.plan.weight.items():
            values[f"{name}.weight"] = (
                values.get(f"{name}.weight", own[f"{name}.weight"].detach()) * gates[site]
            )
        for name, factors in self.plan.groups.items():
            for factor in factors:  # also of points
                values[name] = values.get(name, own[name].detach()) * factor.of(gates)
        return values

    def shrink(self, gates: Mapping[str, Tensor], remove: bool = True) -> nn.Module:
        """The plain network that computes the same.

        Args:
            gates: Values by site.
            remove: Whether what is shut is taken out.
        """
        return shrink(self.net, self.plan, self.multiplied(gates), gates, remove)


def lay_out(net: nn.Module, gates: Gates, x: Tensor) -> LaidOutNetwork:
    """Place gates on a network, in evaluation mode.

    Args:
        net: The dense network.
        gates: Where they go.
        x: A batch of what it reads.
    """
    net = prepare(net).eval()
    places, groups = chosen_places(net, gates)
    blocks = tuple(place.name for place in places if place.placement == "block")
    trace = trace_units(net, (x[:2],), blocks)
    return LaidOutNetwork(net, plan_gates(net, trace, places, groups), x)
