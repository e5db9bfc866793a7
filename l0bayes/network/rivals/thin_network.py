r"""The network that one would guess by hand: all layers narrowed by one factor."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from l0bayes.network.cost import NetworkCost
from l0bayes.network.export import shrink
from l0bayes.network.plan import GatePlan

__all__ = ["thin_gates", "thin_network"]

_HALVINGS = 30
# Gates on these say nothing of widths.
_NO_WIDTH = {"weight", "group", "block"}


def thin_network(net: nn.Module, plan: GatePlan, cost: NetworkCost, macs: float) -> nn.Module | None:
    """The widest network with all gated layers narrowed alike to at most so many multiply-accumulates.

    Args:
        net: The prepared network.
        plan: Its gates.
        cost: Its cost.
        macs: Multiply-accumulates of one example.

    Returns:
        The network, its weights those of ``net``; ``None`` where there is none so small, or gates are on
        single weights, groups of them or blocks.
    """
    if any(spec.placement in _NO_WIDTH for spec in plan.specs.values()):
        return None

    def fits(share: float) -> bool:
        return float(cost.totals(thin_gates(plan, share), decided=True)["macs"]) <= macs

    if not fits(0.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return shrink(net, plan, {}, thin_gates(plan, low))


def thin_gates(plan: GatePlan, share: float) -> Mapping[str, Tensor]:
    """Zeros and ones that leave a share of every site's units, and all of what is data.

    Args:
        plan: The gates.
        share: The share, from 0 to 1; a layer keeps one unit at least.
    """
    unit_of: dict[str, dict[int, int]] = {}
    made: set[int] = set()
    for name, layer in plan.trace.layers.items():
        made.update(layer.outputs.tolist())
        for factors, labels in ((plan.inputs, layer.inputs), (plan.outputs, layer.outputs)):
            for factor in factors.get(name, ()):
                known = unit_of.setdefault(factor.site, {})
                for gate, unit in zip(factor.index.tolist(), labels.tolist(), strict=True):
                    if gate >= 0 and unit >= 0:
                        known.setdefault(gate, unit)
    found = {}
    for site, spec in plan.specs.items():
        gates = torch.ones(math.prod(spec.shape), dtype=torch.float64)
        known = unit_of.get(site, {})
        if spec.placement == "heads":
            known = {gate: gate for gate in range(len(gates))}
        else:
            known = {gate: unit for gate, unit in known.items() if unit in made}
        units = sorted(set(known.values()))  # several pixels of a map are one
        kept = set(units[: max(1, round(share * len(units)))])
        for gate, unit in known.items():
            gates[gate] = float(unit in kept)
        found[site] = gates.reshape(spec.shape)
    return found
