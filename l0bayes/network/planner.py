r"""From placements to a plan: which gate multiplies what."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from l0bayes.network.identity import names_of_parameters
from l0bayes.network.optional_blocks import optional_blocks
from l0bayes.network.placement import GateGroup, Place
from l0bayes.network.plan import Factor, GatePlan, GateSpec
from l0bayes.network.units import TracedHeads, TracedLayer, UnitTrace

__all__ = ["plan_gates"]


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
        frozen = frozenset(name for name, p in net.named_parameters() if not p.requires_grad)
        self.plan = GatePlan({}, trace, frozen=frozen)
        self.owner: dict[int, tuple[str, int]] = {}
        self.readers: dict[int, list[str]] = {}
        for layer in trace.layers.values():
            if not layer.hands_on:
                for unit in torch.unique(layer.inputs[layer.inputs >= 0]).tolist():
                    self.readers.setdefault(unit, []).append(layer.name)
        self.last = next((name for name in reversed(trace.layers) if not trace.layers[name].hands_on), "")
        self.ends = trace.ends
        several = [place.name for place in places]
        of_globs = [one.name for one in places if one.placement == "block" and one.is_of_a_glob]
        self.blocks_of_globs = optional_blocks(net, trace.blocks, of_globs)
        for place in places:
            site = (
                f"{place.name}.gate"
                if several.count(place.name) == 1
                else f"{place.name}.{place.placement}.gate"
            )
            self.place(place, site)
        for name, group in groups.items():
            self.group(name, group)
        if self.plan.passed_over and not self.plan.specs:
            raise ValueError(
                f"no layer can have the gates that were asked for; {_first(self.plan.passed_over)}"
            )
        self.finish()

    def place(self, place: Place, site: str) -> None:
        if place.placement == "block":
            self.block(place, site)
            return
        layer, heads = self.trace.layers.get(place.name), self.trace.heads.get(place.name)
        if layer is None and place.placement == "heads":
            self.heads(place, heads, site)
            return
        if layer is None:
            other = self.trace.others.get(place.name)
            if other is None:
                raise ValueError(
                    f"gates: the example did not go through {place.name!r}, so it cannot be gated"
                )
            self.pass_over(place, f"gates: {place.name!r} cannot be gated: {other.reason}")
            return
        module = layer.module
        if reason_not := layer.kind.reason_not_gated(module, place.placement):
            self.pass_over(place, f"{place.name!r} {reason_not}")
            return
        if place.placement == "weight":
            self.add(site, tuple(module.weight.shape), place, 1.0)  # type: ignore[arg-type]
            self.plan.weight[place.name] = site
        elif place.placement == "heads":
            count = layer.kind.heads(module)
            self.add(site, (count,), place, sum(p.numel() for p in module.parameters()) / count)
            self.plan.heads[place.name] = site
        elif place.placement == "output":
            self.outputs(place, layer, site)
        else:
            self.inputs(place, layer, site)

    def pass_over(self, place: Place, reason: str) -> None:
        """Refuse gates that were asked for by name; a glob, or a word for all, means what can have them."""
        if not place.is_of_a_glob:
            raise ValueError(reason)
        self.plan.passed_over[place.name] = reason

    def add(self, site: str, shape: tuple[int, ...], place: Place, weights: float) -> None:
        self.plan.specs[site] = GateSpec(site, shape, place.placement, place.name, place.pattern, weights)

    def outputs(self, place: Place, layer: TracedLayer, site: str) -> None:
        units = layer.outputs.tolist()
        at_end = [unit for unit in units if unit in self.ends]
        last = layer.name == self.last and not any(unit in self.readers for unit in units)
        if (at_end or last) and place.is_of_a_glob:
            return  # what the network predicts is not hidden
        if at_end and (self.trace.output_layer is None or self.trace.outputs is None):
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
        if reason := self.mixing(place, units):
            self.pass_over(place, reason)
            return
        self.own(place, site, units, layer.module)

    def own(self, place: Place, site: str, units: Iterable[int], module: nn.Module) -> None:
        distinct = list(dict.fromkeys(units))
        for position, unit in enumerate(distinct):
            self.owner[unit] = (site, position)
        weights = sum(p.numel() for p in module.parameters()) / len(distinct)
        self.add(site, (len(distinct),), place, weights)

    def heads(self, place: Place, heads: TracedHeads | None, site: str) -> None:
        """Gates on heads whose queries, keys and values are layers of their own."""
        if heads is None:
            what = "no heads of attention, made by its layers, were found in the run of the example"
            inside = [one for name, one in self.trace.layers.items() if name.startswith(f"{place.name}.")]
            made = dict.fromkeys(unit for layer in inside for unit in layer.outputs.tolist())
            if by := [*dict.fromkeys(self.trace.mixed[unit] for unit in made if unit in self.trace.mixed)]:
                what += f"; what they make goes through {', '.join(by)}, which mixes the parts of all heads"
            self.pass_over(place, f"gates: {place.name!r} cannot be gated on 'heads': {what}")
            return
        units = heads.units.tolist()
        if taken := sorted({self.owner[unit][0] for unit in units if unit in self.owner}):
            raise ValueError(f"the heads of {place.name!r} are gated twice; they are the units of {taken}")
        if reason := self.mixing(place, units):
            self.pass_over(place, reason)
        else:
            self.own(place, site, units, self.net.get_submodule(place.name))

    def mixing(self, place: Place, units: Iterable[int]) -> str | None:
        """Why a shut unit could not be removed."""
        for unit in units:
            if unit in self.trace.mixed:
                return (
                    f"the units of {place.name!r} are gated but mixed by {self.trace.mixed[unit]} before "
                    "they are read, so that a shut unit could not be removed; use gates on the "
                    '"input" of the layer behind it, or on "weight"'
                )
        return None

    def inputs(self, place: Place, layer: TracedLayer, site: str) -> None:
        units = layer.inputs.tolist()
        self.add(site, (len(units),), place, layer.numel_reading / len(units))
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
        if place.is_of_a_glob and place.name not in self.blocks_of_globs:
            self.pass_over(place, f"{place.name!r} is no block that the network could do without")
            return
        block = self.trace.blocks[place.name]
        if not block.is_optional:
            what = "is read by a layer or another operation" if block.is_added else "is not added to anything"
            raise ValueError(
                f"{place.name!r} is no residual block: its output {what} and has another shape than its "
                "input, so that closing it would cut the network"
            )
        module = self.net.get_submodule(place.name)
        self.add(site, (1,), place, float(sum(p.numel() for p in module.parameters())))
        self.plan.blocks[place.name] = site

    def group(self, name: str, group: GateGroup) -> None:
        site = f"{name}.gate"
        parameters = dict(self.net.named_parameters())
        first = {alias: one for one, names in names_of_parameters(self.net).items() for alias in names}
        count = 0
        index: dict[str, Tensor] = {}
        if not group.slices:
            raise ValueError(f"gates: the group {name!r} has no slices")
        for gate, slices in enumerate(group.slices):
            for named, where in slices:
                parameter = first.get(named, named)
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
        found: dict[str, list[int]] = {}
        none = [-1] * len(units)
        for feature, unit in enumerate(units.tolist()):
            if unit in self.owner:
                site, position = self.owner[unit]
                if site not in found:
                    found[site] = none.copy()
                found[site][feature] = position
        return [Factor(site, torch.tensor(index)) for site, index in found.items()]

    def finish(self) -> None:
        plan, trace = self.plan, self.trace
        for layer in trace.layers.values():
            plan.outputs[layer.name] = self.factors(layer.outputs)
            if layer.hands_on:
                continue
            plan.inputs[layer.name] = self.factors(layer.inputs)
            if layer.name in plan.local:
                plan.inputs[layer.name].append(
                    Factor(plan.local[layer.name], torch.arange(len(layer.inputs)))
                )
        for name, heads in trace.heads.items():
            plan.of_heads[name] = self.factors(heads.units)
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


def _first(reasons: Mapping[str, str]) -> str:
    return next(iter(reasons.values()))
