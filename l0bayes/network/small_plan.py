r"""The gates of a network that was cut, on what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from l0bayes.infer.shrink.origin import Origin
from l0bayes.network.kinds import Selective
from l0bayes.network.plan import Factor, GatePlan
from l0bayes.network.units import TracedLayer, UnitTrace

__all__ = ["small_plan"]


def small_plan(
    small: nn.Module,
    plan: GatePlan,
    origins: Mapping[str, Origin],
    opened: Mapping[str, Tensor],
    decided: bool,
) -> GatePlan:
    """What is known of the layers that are left, and of their gates.

    Args:
        small: The network that is left.
        plan: The gates of the whole.
        origins: Where the small network's entries come from, by name.
        opened: Ones and zeros by gate site; zeros were taken out.
        decided: Whether the others are open for good, so that there is no gate any more.
    """
    frozen = frozenset(name for name, one in origins.items() if one.name in plan.frozen)
    new = GatePlan({}, UnitTrace(), frozen=frozen)  # of the trace what runs need, not what plans do
    shut = {name for name, site in plan.blocks.items() if not bool(opened[site].any())}
    modules = dict(small.named_modules())
    places = {module: name for name, module in modules.items()}
    left = {} if decided else {site: _numbers(value) for site, value in opened.items() if bool(value.any())}
    for site, numbers in left.items():
        new.specs[site] = replace(plan.specs[site], shape=(int((numbers >= 0).sum()),))
    for name, layer in plan.trace.layers.items():
        if name not in modules or layer.blocks & shut:
            continue
        module = modules[name]
        inner = module.reading if isinstance(module, Selective) else module
        place = places[inner]
        rows, columns = _kept_features(layer, place, inner, origins)
        new.trace.layers[place] = replace(
            layer, name=place, module=inner, inputs=layer.inputs[columns], outputs=layer.outputs[rows]
        )
        for ours, theirs, kept in ((new.inputs, plan.inputs, columns), (new.outputs, plan.outputs, rows)):
            factors = [_renumbered(one, left, kept) for one in theirs.get(name, ()) if one.site in left]
            if factors:
                ours[place] = factors
    for name, other in plan.trace.others.items():
        if name in modules and not other.blocks & shut:
            new.trace.others[name] = replace(other, module=modules[name])
    new.trace.blocks = {name: one for name, one in plan.trace.blocks.items() if name not in shut}
    new.trace.output_dim = plan.trace.output_dim
    new.heads = {name: site for name, site in plan.heads.items() if site in left and name in modules}
    new.blocks = {name: site for name, site in plan.blocks.items() if site in left and name in modules}
    everything = torch.arange(max((len(one.index) for one in plan.output), default=0))
    new.output = [_renumbered(one, left, everything) for one in plan.output if one.site in left]
    return new


def _numbers(opened: Tensor) -> Tensor:
    """The new number of each gate of a site, -1 where it was taken out."""
    kept = opened.flatten().cpu() > 0.5
    return torch.where(kept, torch.cumsum(kept, 0) - 1, -1)


def _renumbered(factor: Factor, left: Mapping[str, Tensor], kept: Tensor) -> Factor:
    index = factor.index.cpu()[kept]
    return Factor(factor.site, torch.where(index < 0, -1, left[factor.site][index.clamp(min=0)]))


def _kept_features(
    layer: TracedLayer, place: str, module: nn.Module, origins: Mapping[str, Origin]
) -> tuple[Tensor, Tensor]:
    """Which output and input features of a layer are left, by their numbers in the whole layer."""
    rows, columns = torch.arange(len(layer.outputs)), torch.arange(len(layer.inputs))
    before = dict(layer.module.named_parameters(recurse=False)) | dict(
        layer.module.named_buffers(recurse=False)
    )
    for key, axes in layer.kind.axes(module).items():
        origin = origins.get(f"{place}.{key}")
        if origin is None or origin.index is None:
            continue
        shape = before[key].shape
        if axes.out is not None and origin.index.shape[axes.out] < len(layer.outputs):
            rows = _coordinates(origin.index, shape, axes.out)
        if axes.into is not None and axes.groups == 1:
            columns = _coordinates(origin.index, shape, axes.into)
    if layer.kind.one_to_one(module):
        columns = rows
    return rows, columns


def _coordinates(index: Tensor, shape: torch.Size, axis: int) -> Tensor:
    """The coordinate in the whole tensor of each slice along an axis; 0 for one that is held at 0."""
    step = shape[axis + 1 :].numel() if axis >= 0 else 1
    found = torch.where(index < 0, 0, index // step % shape[axis])
    return found.movedim(axis, 0).flatten(1).amax(1) if found.dim() > 1 else found
