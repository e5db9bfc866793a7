r"""A trial before training: whether what would be deployed is the gated network, of the size counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.randomness import private_randomness
from l0bayes.network.cost import NetworkCost
from l0bayes.network.counting import operations_by_module
from l0bayes.network.export import shrink
from l0bayes.network.gating import gated
from l0bayes.network.head_numbers import gates_without_a_head, possible_numbers
from l0bayes.network.plan import GatePlan
from l0bayes.network.structure import arguments_of, fresh_like, tensors_in
from l0bayes.network.units import TracedHeads

__all__ = ["Trial", "difference", "random_gates", "tried_plan", "units_that_stay", "unlike"]


@dataclass(frozen=True)
class Trial:
    """A network with decided gates, beside the plain one that is left of it.

    Args:
        net: The prepared network.
        plan: Its gates.
        example: Arguments of the network.
        gates: Values by site.
    """

    net: nn.Module
    plan: GatePlan
    example: tuple[Any, ...]
    gates: Mapping[str, Tensor]

    def only(self, sites: Collection[str]) -> Trial:
        """The same with all other gates open."""
        gates = {site: v if site in sites else torch.ones_like(v) for site, v in self.gates.items()}
        return replace(self, gates=gates)

    def parameters(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Its own parameters, without zeros, which would be taken out; and with gates multiplied in."""
        plain = {}
        for layer in self.plan.trace.layers.values():
            for key, value in layer.module.named_parameters():
                plain[f"{layer.name}.{key}"] = torch.where(value == 0, torch.full_like(value, 1e-3), value)
        own = dict(self.net.named_parameters())
        held = dict(plain)
        for owner, site in self.plan.weight.items():
            held[f"{owner}.weight"] = held[f"{owner}.weight"] * self.gates[site]
        for name, factors in self.plan.groups.items():
            for factor in factors:
                held[name] = held.get(name, own[name]) * factor.of(self.gates)
        return plain, held

    @cached_property
    def cut(self) -> tuple[nn.Module, dict[str, Tensor]]:
        """The plain network that is left, and the parameters of the gated one."""
        plain, held = self.parameters()
        with evaluating(self.net):
            return shrink(self.net, self.plan, held, self.gates), plain

    @torch.no_grad()
    def fails(self) -> str:
        """Why the deployed network is not the gated one; empty where it is."""
        small, plain = self.cut
        with evaluating(self.net), private_randomness(0):
            for inputs in (fresh_like(self.example), self.example):
                try:
                    wanted = gated(self.net, self.plan, plain, self.gates, inputs)
                except Exception:  # not every input will do
                    if inputs is self.example:
                        raise
                    continue
                reason = difference(small, inputs, wanted)
                if reason and unlike(gated(self.net, self.plan, plain, self.gates, inputs), wanted):
                    return ""  # it draws random numbers, so that there is nothing to compare
                return reason
        return ""

    @torch.no_grad()
    def miscounted(self, cost: NetworkCost) -> str:
        """The layer whose parameters or multiply-accumulates are not as counted; empty where none is.

        Args:
            cost: The network's cost.
        """
        # Gates on single weights leave zeros at full size, and units that die with them.
        single = {s for s, spec in self.plan.specs.items() if spec.placement in ("weight", "group")}
        trial = self.only(self.gates.keys() - single) if single else self
        opened = {site: (value != 0).double() for site, value in trial.gates.items()}
        small, _ = trial.cut
        counted = operations_by_module(small, self.example)
        if counted is None:
            return ""
        totals, by_layer = cost.totals(opened, decided=True), cost.layers(opened, decided=True)
        found = {"macs": sum(counted.values()), "params": float(sum(p.numel() for p in small.parameters()))}
        for kind, number in found.items():
            said = float(totals[kind])  # type: ignore[index]
            if math.isclose(said, number, rel_tol=1e-6, abs_tol=0.5):
                continue
            names = by_layer if kind == "macs" else []
            parts = {n: sum(c for k, c in counted.items() if k == n or k.startswith(f"{n}.")) for n in names}
            wrong = [n for n in names if not math.isclose(float(by_layer[n].macs), parts[n], abs_tol=0.5)]
            where = f"{wrong[0]!r}" if wrong else "a module that is not followed"
            return (
                f"{where} would be deployed with other {kind} than are counted: the network has "
                f"{number:.0f}, and {said:.0f} by the cost of its layers"
            )
        return ""


def difference(net: nn.Module, inputs: tuple[Any, ...], wanted: Any) -> str:
    """Why a network does not return what it should; empty where it does.

    Args:
        net: The network.
        inputs: Its arguments.
        wanted: What it should return in evaluation mode.
    """
    try:
        args, named = arguments_of(inputs)
        with evaluating(net):
            found = net(*args, **named)
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return unlike(found, wanted)


def unlike(found: Any, wanted: Any) -> str:
    """In which way a result is not another one, rounding apart; empty where it is.

    Args:
        found: The result.
        wanted: What it should be.
    """
    ours, theirs = tensors_in(found), tensors_in(wanted)
    if len(ours) != len(theirs):
        return f"it returns {len(ours)} tensors in place of {len(theirs)}"
    for one, other in zip(ours, theirs, strict=True):
        if one.shape != other.shape:
            return f"it returns {tuple(one.shape)} in place of {tuple(other.shape)}"
        if not other.is_floating_point() or not other.numel():
            continue
        coarse = 0.06 if other.dtype in (torch.bfloat16, torch.float16) else 1e-3
        finite = other[other.isfinite()].abs().double()
        limit = coarse * float(finite.max()) + 1e-6 if finite.numel() else 0.0
        if not torch.allclose(one.double(), other.double(), rtol=0.0, atol=limit, equal_nan=True):
            return "it returns other values"
    return ""


def tried_plan(
    net: nn.Module, make: Callable[[], GatePlan], example: tuple[Any, ...]
) -> tuple[GatePlan, NetworkCost]:
    """A plan that passes a trial with random gates, and its cost.

    Units that cannot be taken out, since ``forward`` holds sizes of its own, stay, and are counted so.

    Args:
        net: The prepared network.
        make: Makes the plan, for the units of its trace that are fixed by then.
        example: Arguments of the network.

    Raises:
        ValueError: If the network that would be deployed is not the gated one, or is of another size than is
            counted. The message names a layer.
    """
    plan = make()
    held = find_numbers_of_heads(net, plan, example)
    if plan.trace.heads:
        plan = make()
    for share in (0.6, 0.9):
        while reason := (trial := Trial(net, plan, example, random_gates(plan, share))).fails():
            held |= units_that_stay(trial, reason)
            plan = make()
    plan.held = held
    cost = NetworkCost(net, plan)
    if wrong := trial.miscounted(cost):
        raise ValueError(wrong)
    return plan, cost


def find_numbers_of_heads(net: nn.Module, plan: GatePlan, example: tuple[Any, ...]) -> dict[str, str]:
    """Find the attributes that have to follow when heads of attention of no kind are taken out.

    Modules of one class hold the same ones, so that they are tried together. Where none will do, since the
    sizes stand elsewhere in ``forward``, heads stay.

    Args:
        net: The prepared network.
        plan: Its gates; its trace takes the result.
        example: Arguments of the network.

    Returns:
        Layers whose gates are on heads that stay, and why.
    """
    alike: dict[tuple[Any, ...], list[TracedHeads]] = {}
    for heads in plan.trace.heads.values():
        keys = [[key for _, key in one] for one in possible_numbers(net, heads)]
        alike.setdefault((type(net.get_submodule(heads.name)), str(keys)), []).append(heads)
    held: dict[str, str] = {}
    for group in alike.values():
        possible = [possible_numbers(net, heads) for heads in group]
        shut = [gates for heads in group if (gates := gates_without_a_head(plan, heads)) is not None]
        gates = {site: torch.stack([one[site] for one in shut]).amin(0) for site in plan.specs if shut}
        reasons = []
        for numbers in zip(*possible, strict=True):
            for heads, one in zip(group, numbers, strict=True):
                heads.numbers = one
            reasons.append(Trial(net, plan, example, gates).fails() if shut else "")
            if not reasons[-1]:
                break
        else:
            for heads in group:
                heads.numbers = ()
                units, asked = heads.units.tolist(), plan.specs.get(f"{heads.name}.gate")
                if asked is not None and asked.placement == "heads":
                    plan.trace.fixed |= set(units)
                    held[heads.name] = reasons[0]
                else:  # gates that were meant for layers of any kind
                    by = f"{heads.name!r}, whose forward holds the number of its heads ({reasons[0]})"
                    plan.trace.mixed |= dict.fromkeys(units, by)
    return held


def random_gates(plan: GatePlan, share: float) -> dict[str, Tensor]:
    """Random gates: in every site of several some are shut, and one is open; open ones are between 0.5 and 1.

    Args:
        plan: A network's gates.
        share: Share of shut gates.
    """
    found = {}
    for number, (site, spec) in enumerate(plan.specs.items()):
        generator = torch.Generator().manual_seed(number)
        count = math.prod(spec.shape)
        values = (0.5 + torch.rand(count, generator=generator)).clamp(max=1.0)
        order = torch.randperm(count, generator=generator)
        values[order[1 : 1 + math.ceil(share * (count - 1))]] = 0.0
        found[site] = values.reshape(spec.shape)
    return found


def units_that_stay(trial: Trial, reason: str) -> dict[str, str]:
    """Fix the units that cannot be taken out, and say which layers' gates are on them, and why.

    Args:
        trial: A trial that fails.
        reason: Why.

    Raises:
        ValueError: If there are no units whose staying would help.
    """
    plan = trial.plan
    sites = [site for site in plan.specs if trial.only([site]).fails()]
    for count in range(1, len(plan.specs) + 1) if not sites else ():  # only together
        if trial.only([*plan.specs][:count]).fails():
            sites = [[*plan.specs][count - 1]]
            break
    held = {}
    for site in sites:
        if found := _units_of_site(plan, site) - plan.trace.fixed:
            plan.trace.fixed |= found
            held[plan.specs[site].owner] = reason
    if not held:
        names = ", ".join(repr(plan.specs[site].owner) for site in sites or plan.specs)
        raise ValueError(
            f"gates on {names}: the network that would be deployed is not the gated one ({reason}); "
            "leave these modules without gates"
        )
    return held


def _units_of_site(plan: GatePlan, site: str) -> set[int]:
    """The units that may be taken out by gates of a site."""
    units = {unit for unit, readers in plan.closable.items() if any(one == site for one, _ in readers)}
    for name, factors in plan.outputs.items():
        made = plan.trace.layers[name].outputs
        for factor in factors:
            if factor.site == site:
                units |= set(made[factor.index >= 0].tolist())
    return units
