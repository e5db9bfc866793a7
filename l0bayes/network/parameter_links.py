r"""Which gates each parameter of a network is tied to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from l0bayes.network.kinds import UnitAxes
from l0bayes.network.plan import Factor, GatePlan
from l0bayes.network.units import TracedLayer
from l0bayes.sites import SampledGate

__all__ = ["ParameterLink", "link_parameters", "opened_entries"]


@dataclass(frozen=True)
class ParameterLink:
    """One gate site of a parameter.

    Attributes:
        site: The site.
        shape: How its gates lie beside the parameter, where they lie in order.
        index: Gate of each entry, broadcastable to the parameter; ``None`` where ``shape`` says it.
        partial: Whether the index leaves entries out, as -1.
    """

    site: str
    shape: tuple[int, ...] | None = None
    index: Tensor | None = None
    partial: bool = False

    def of(self, sampled: Mapping[str, SampledGate]) -> SampledGate:
        """The sampled gate, laid out beside the parameter."""
        one = sampled[self.site]
        if self.index is not None:
            return one.at(self.index, self.partial)
        return one if self.shape is None else one.view(*self.shape)


def opened_entries(links: Sequence[ParameterLink], opened: Mapping[str, Tensor], shape: torch.Size) -> Tensor:
    """1 for entries of a parameter whose gates are all open, and 0 for the others.

    Args:
        links: Its gate sites.
        opened: Zeros and ones by gate site.
        shape: Its shape.
    """
    found = torch.ones(shape)
    for link in links:
        value = opened[link.site].to(found)
        if link.index is not None:  # -1 indexes the one that is appended
            value = torch.cat([value.flatten(), value.new_ones(1)])[link.index.to(value.device)]
        elif link.shape is not None:
            value = value.reshape(link.shape)
        found = found * value
    return found


def link_parameters(net: nn.Module, plan: GatePlan) -> dict[str, list[ParameterLink]]:
    """The parameters that are slabs, by name, and the gates that each is tied to.

    A parameter that is not trained (``requires_grad`` is false) is no slab.

    Args:
        net: The prepared network.
        plan: Its gates.
    """
    links: dict[str, list[ParameterLink]] = {}
    for name, _ in net.named_modules():
        layer = plan.trace.layers.get(name)
        if layer is None or not layer.kind.slabs:
            continue
        for key, value in layer.module.named_parameters():
            if f"{name}.{key}" in plan.frozen:
                continue
            groups = [
                ParameterLink(f.site, index=f.index, partial=f.partial)
                for f in plan.groups.get(f"{name}.{key}", ())
            ]
            blocks = [ParameterLink(site, shape=(1,) * value.dim()) for site in plan.blocks_around(name)]
            links[f"{name}.{key}"] = [
                *_of_heads(layer, key, plan),
                *_of_units(layer, key, plan),
                *groups,
                *blocks,
            ]
    return links


def _of_heads(layer: TracedLayer, key: str, plan: GatePlan) -> list[ParameterLink]:
    site, heads = plan.heads.get(layer.name), layer.kind.heads_of_entries(layer.module)
    return [ParameterLink(site, index=heads[key])] if site is not None and key in heads else []


def _of_units(layer: TracedLayer, key: str, plan: GatePlan) -> list[ParameterLink]:
    axes, links = layer.kind.axes(layer.module).get(key, UnitAxes()), []
    shape = dict(layer.module.named_parameters())[key].shape
    if axes.out is not None:
        links += [_along(plan, factor, axes.out, shape) for factor in plan.outputs.get(layer.name, ())]
    if axes.into is not None:
        for factor in plan.inputs.get(layer.name, ()):
            if axes.groups == 1:
                links.append(_along(plan, factor, axes.into, shape))
            else:
                index = axes.beside(factor.index, shape)
                links.append(ParameterLink(factor.site, index=index, partial=factor.partial))
    if key == "weight" and layer.name in plan.weight:
        links.append(ParameterLink(plan.weight[layer.name]))
    return links


def _along(plan: GatePlan, factor: Factor, axis: int, shape: torch.Size) -> ParameterLink:
    (count,) = plan.specs[factor.site].shape
    layout = [1] * len(shape)
    layout[axis] = len(factor.index)
    if factor.in_order and count == len(factor.index):
        return ParameterLink(factor.site, shape=tuple(layout))
    return ParameterLink(factor.site, index=factor.index.reshape(layout), partial=factor.partial)
