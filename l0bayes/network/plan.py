r"""What each gate of a network multiplies."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from l0bayes.network.attention import HeadAttention
from l0bayes.network.placement import GateGroup, Place
from l0bayes.network.units import TracedLayer, UnitTrace, is_depthwise

__all__ = ["Factor", "GatePlan", "GateSpec", "plan_gates"]


@dataclass(frozen=True)
class GateSpec:
    """One gate site.

    Attributes:
        name: Name of the site.
        shape: Shape of its gates.
        placement: What kind of gates: a :data:`GatePlacement`, or ``"group"``.
        owner: The module, or group, that it was asked for.
        pattern: The glob that asked for it.
        weights: Parameters of the owner that each gate multiplies, for penalties per parameter.
    """

    name: str
    shape: tuple[int, ...]
    placement: str
    owner: str
    pattern: str
    weights: float


@dataclass(frozen=True)
class Factor:
    """What one gate site contributes to a vector of features.

    Attributes:
        site: Name of the site.
        index: Gate of each feature, ``torch.long``; -1 where the feature has none of this site.
        partial: Whether there are any -1.
        in_order: Whether feature j has gate j.
    """

    site: str
    index: Tensor
    # Kept, since networks run where values may not be read.
    partial: bool = field(init=False)
    in_order: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "partial", bool((self.index < 0).any()))
        counted = torch.arange(self.index.numel()).reshape(self.index.shape)
        object.__setattr__(self, "in_order", bool((self.index.cpu() == counted).all()))

    def of(self, gates: Mapping[str, Tensor]) -> Tensor:
        """Values of the features, of shape ``(..., features)``, for gate values by site."""
        values = gates[self.site]
        if self.partial:  # -1 indexes the one that is appended
            values = torch.cat([values, values.new_ones(*values.shape[:-1], 1)], -1)
        elif self.in_order and self.index.dim() == 1 and len(self.index) == values.shape[-1]:
            return values
        return values[..., self.index]


@dataclass
class GatePlan:
    """All gate sites of a network and what they multiply.

    Attributes:
        specs: Gate sites by name, in the order of the network.
        trace: The units that they gate.
        inputs: Layer to what multiplies its input features.
        outputs: Layer to the gates that its output units carry (they act where the units are read).
        local: Layer to its own site on input features, where that is finer than units.
        weight: Layer to its site of one gate a weight.
        heads: Attention to its site.
        blocks: Module to its site.
        groups: Parameter to the (site, gate of each entry or -1) that multiply it.
        output: What multiplies the network's output.
        closable: For units whose every reader has gates of its own: unit to the (site, gate) pairs.
    """

    specs: dict[str, GateSpec]
    trace: UnitTrace
    inputs: dict[str, list[Factor]] = field(default_factory=dict)
    outputs: dict[str, list[Factor]] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    weight: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[Factor]] = field(default_factory=dict)
    output: list[Factor] = field(default_factory=list)
    closable: dict[int, list[tuple[str, int]]] = field(default_factory=dict)

    def is_added(self, block: str) -> bool:
        """Whether a gated block's output is added by its caller, rather than to its input inside."""
        return self.trace.blocks[block].is_added and not self.trace.blocks[block].holds_skip

    def blocks_around(self, name: str) -> list[str]:
        """Sites of the gated blocks that a module stands in."""
        return [site for block, site in self.blocks.items() if name == block or name.startswith(f"{block}.")]


def _hands_on(layer: TracedLayer) -> bool:
    """Whether a layer's outputs are the units it reads."""
    return isinstance(layer.module, nn.modules.batchnorm._BatchNorm) or (
        is_depthwise(layer.module) and bool((layer.inputs == layer.outputs).all())
    )


def plan_gates(
    net: nn.Module, trace: UnitTrace, places: Sequence[Place], groups: Mapping[str, GateGroup]
) -> GatePlan:
    """Lay gates on the units of a traced network.

    A gate on an *output* unit, or on an *input* feature that is a unit which nobody else reads, belongs to
    the unit: it multiplies the unit wherever it is read, after normalisation and nonlinearity, so that
    the unit's bias dies with it. Other input gates (one for each pixel of a flattened map, or for data)
    belong to the reading layer.

    Args:
        net: The network.
        trace: Its units.
        places: Where gates were asked for.
        groups: Groups by name.

    Returns:
        The plan.

    Raises:
        ValueError: If units are gated twice, or mixed before they are read, or a place is not on the
            road of the example.
    """
    return _Planner(net, trace, places, groups).plan


class _Planner:
    def __init__(
        self, net: nn.Module, trace: UnitTrace, places: Sequence[Place], groups: Mapping[str, GateGroup]
    ) -> None:
        self.net, self.trace = net, trace
        self.plan = GatePlan({}, trace)
        self.owner: dict[int, tuple[str, int]] = {}
        self.readers: dict[int, list[str]] = {}
        for layer in trace.layers.values():
            if not _hands_on(layer):
                for unit in torch.unique(layer.inputs[layer.inputs >= 0]).tolist():
                    self.readers.setdefault(unit, []).append(layer.name)
        self.last = next((name for name in reversed(trace.layers) if not _hands_on(trace.layers[name])), "")
        self.ends = set() if trace.outputs is None else set(trace.outputs.tolist()) - {-1}
        several = [place.name for place in places]
        for place in places:
            site = (
                f"{place.name}.gate"
                if several.count(place.name) == 1
                else f"{place.name}.{place.placement}.gate"
            )
            self.place(place, site)
        for name, group in groups.items():
            self.group(name, group)
        self.finish()

    def place(self, place: Place, site: str) -> None:
        if place.placement == "block":
            self.block(place, site)
            return
        layer = self.trace.layers.get(place.name)
        if layer is None:
            raise ValueError(f"gates: the example did not go through {place.name!r}, so it cannot be gated")
        module = layer.module
        if place.placement == "weight":
            self.add(site, tuple(module.weight.shape), place, 1.0)  # type: ignore[arg-type]
            self.plan.weight[place.name] = site
        elif place.placement == "heads":
            assert isinstance(module, HeadAttention)
            weights = sum(p.numel() for p in module.parameters()) / module.num_heads
            self.add(site, (module.num_heads,), place, weights)
            self.plan.heads[place.name] = site
        elif place.placement == "output":
            self.outputs(place, layer, site)
        else:
            self.inputs(place, layer, site)

    def add(self, site: str, shape: tuple[int, ...], place: Place, weights: float) -> None:
        self.plan.specs[site] = GateSpec(site, shape, place.placement, place.name, place.pattern, weights)

    def outputs(self, place: Place, layer: TracedLayer, site: str) -> None:
        units = layer.outputs.tolist()
        at_end = [unit for unit in units if unit in self.ends]
        last = layer.name == self.last and not any(unit in self.readers for unit in units)
        if (at_end or last) and any(mark in place.pattern for mark in "*?["):
            return  # what the network predicts is not hidden
        if at_end and self.trace.output_layer is None:
            raise ValueError(
                f"the outputs of {place.name!r} leave the network through other operations, "
                "so gates on them could not be folded into it"
            )
        taken = {self.owner[unit][0] for unit in units if unit in self.owner}
        if taken:
            if len(taken) == 1 and all(unit in self.owner for unit in units):
                spec = self.plan.specs[next(iter(taken))]
                if spec.placement == "output":
                    return  # tied by a residual connection: one gate for the units of both
            raise ValueError(
                f"the outputs of {place.name!r} are gated twice; they are the units of {sorted(taken)}"
            )
        self.refuse_mixed(place, units)
        distinct = list(dict.fromkeys(units))
        for position, unit in enumerate(distinct):
            self.owner[unit] = (site, position)
        weights = sum(p.numel() for p in layer.module.parameters()) / len(distinct)
        self.add(site, (len(distinct),), place, weights)

    def refuse_mixed(self, place: Place, units: Iterable[int]) -> None:
        for unit in units:
            if unit in self.trace.mixed:
                raise ValueError(
                    f"the units of {place.name!r} are gated but mixed by {self.trace.mixed[unit]} before "
                    "they are read, so that a shut unit could not be removed; use gates on the "
                    '"input" of the layer behind it, or on "weight"'
                )

    def inputs(self, place: Place, layer: TracedLayer, site: str) -> None:
        if is_depthwise(layer.module):
            raise ValueError(
                f"{place.name!r} is a depthwise convolution, whose maps are those it reads; "
                "gate its outputs instead"
            )
        units = layer.inputs.tolist()
        weights = layer.module.weight.numel() / len(units)  # type: ignore[operator]
        self.add(site, (len(units),), place, float(weights))
        whole = min(units) >= 0 and len(set(units)) == len(units)
        alone = all(
            self.readers[unit] == [place.name] and unit not in self.ends for unit in units if unit >= 0
        )
        if whole and alone:
            taken = sorted({self.owner[unit][0] for unit in units if unit in self.owner})
            if taken:
                raise ValueError(
                    f"the units that {place.name!r} reads are gated twice; they carry {taken} too"
                )
            if not any(unit in self.trace.mixed for unit in units):
                self.owner.update({unit: (site, position) for position, unit in enumerate(units)})
                return
        self.plan.local[place.name] = site

    def block(self, place: Place, site: str) -> None:
        block = self.trace.blocks[place.name]
        if not (block.is_added or block.keeps_shape):
            raise ValueError(
                f"{place.name!r} is no residual block: its output is not added to anything and has another "
                "shape than its input, so that closing it would cut the network"
            )
        module = self.net.get_submodule(place.name)
        self.add(site, (1,), place, float(sum(p.numel() for p in module.parameters())))
        self.plan.blocks[place.name] = site

    def group(self, name: str, group: GateGroup) -> None:
        site = f"{name}.gate"
        parameters = dict(self.net.named_parameters())
        count = 0
        index: dict[str, Tensor] = {}
        if not group.slices:
            raise ValueError(f"gates: the group {name!r} has no slices")
        for gate, slices in enumerate(group.slices):
            for parameter, where in slices:
                if parameter not in parameters:
                    near = difflib.get_close_matches(parameter, parameters, 4, 0.4)
                    raise ValueError(
                        f"gates: group {name!r} names unknown parameter {parameter!r}; "
                        f"near matches are {near}"
                    )
                owners = index.setdefault(parameter, torch.full(parameters[parameter].shape, -1))
                if bool((owners[where] >= 0).any()):
                    raise ValueError(f"gates: slices of group {name!r} overlap in {parameter!r}")
                owners[where] = gate
                count += owners[where].numel()
        place = Place(name, "weight", name)
        self.add(site, (len(group.slices),), place, count / len(group.slices))
        self.plan.specs[site] = replace(self.plan.specs[site], placement="group")
        for parameter, owners in index.items():
            self.plan.groups.setdefault(parameter, []).append(Factor(site, owners))

    # ---- from units to features ------------------------------------------------------------------

    def factors(self, units: Tensor) -> list[Factor]:
        found: dict[str, Tensor] = {}
        for feature, unit in enumerate(units.tolist()):
            if unit in self.owner:
                site, position = self.owner[unit]
                found.setdefault(site, torch.full((len(units),), -1))[feature] = position
        return [Factor(site, index) for site, index in found.items()]

    def finish(self) -> None:
        plan, trace = self.plan, self.trace
        for layer in trace.layers.values():
            plan.outputs[layer.name] = self.factors(layer.outputs)
            if _hands_on(layer):
                continue
            plan.inputs[layer.name] = self.factors(layer.inputs)
            if layer.name in plan.local:
                plan.inputs[layer.name].append(
                    Factor(plan.local[layer.name], torch.arange(len(layer.inputs)))
                )
        if trace.outputs is not None:
            plan.output = self.factors(trace.outputs)
        for unit, readers in self.readers.items():
            if (
                unit in self.ends
                or unit in trace.mixed
                or unit in trace.fixed
                or not all(r in plan.local for r in readers)
            ):
                continue
            plan.closable[unit] = [
                (plan.local[reader], position)
                for reader in readers
                for position in torch.nonzero(trace.layers[reader].inputs == unit).flatten().tolist()
            ]
        order = {name: position for position, name in enumerate(dict(self.net.named_modules()))}
        plan.specs = dict(sorted(plan.specs.items(), key=lambda item: order.get(item[1].owner, math.inf)))
