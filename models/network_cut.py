r"""A sparse network cut to decided gates while it is trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.shrink.origin import ModelCut, Origin
from l0bayes.models.network_deployment import FULL_SIZE, example_like
from l0bayes.models.sleeping_units import SleepingUnits
from l0bayes.network import SmallNetwork, difference, gated, link_parameters, opened_entries, small_network
from l0bayes.user_warnings import warn_user

__all__ = ["cut_network", "reason_not_cut"]


def reason_not_cut(model: Any) -> str | None:
    """Why a sparse network cannot be cut while it is trained; ``None`` where it can.

    Args:
        model: The sparse network.
    """
    for site, prior in model.priors.items():
        if getattr(prior, "batch_shape", ()):
            return f"the prior of {site!r} is a law for each gate; give its probabilities as a tensor"
    for placement, where in (("weight", model.plan.weight), ("group", model.plan.groups)):
        if where:
            return (
                f"gates on single weights or groups of them ({placement!r} at {next(iter(where))!r}) leave "
                "nothing that could be taken out; place gates on inputs, outputs, heads or blocks"
            )
    return None


def cut_network(
    model: Any, slabs: Mapping[str, Tensor], opened: Mapping[str, Tensor], decided: bool
) -> ModelCut:
    """The sparse network that is left when gates are shut for good. It shares nothing with the whole one.

    Args:
        model: The sparse network, with its own parameters as they are.
        slabs: Values of the slabs by parameter name, to compare both networks on.
        opened: Zeros and ones by gate site.
        decided: Whether the ones are open for good.
    """
    small = small_network(model.net, model.plan, opened, decided=decided)
    if misfit := _misfit(model, small, slabs, opened):
        small = small_network(model.net, model.plan, opened, remove=False, decided=decided)
        warn_user(FULL_SIZE.format("", misfit).replace("deployed", "cut"))
    new = copy.copy(model)
    for own in ("_modules", "_parameters", "_buffers"):
        setattr(new, own, dict(getattr(model, own)))
    new.net, new.plan = small.net, small.plan
    kept = {site: torch.nonzero(opened[site].flatten() > 0.5).flatten() for site in small.plan.specs}
    new.priors = {site: _prior_of(model.priors[site], opened[site], index) for site, index in kept.items()}
    new.links = link_parameters(small.net, small.plan)
    for name, parameter in small.net.named_parameters():
        parameter.requires_grad_(name not in new.links and name not in small.plan.frozen)
    new.awake = SleepingUnits(small.plan, model.cost)
    new.observation = copy.deepcopy(model.observation)
    new.slab_priors = {name: model.slab_priors[small.origins[name].name] for name in new.links}
    tensors = {f"net.{name}": Origin(f"net.{one.name}", one.index) for name, one in small.origins.items()}
    new.learned_scales = nn.ParameterDict()
    for name in new.links:
        before, after = (one.replace(".", "/") for one in (small.origins[name].name, name))
        if before in model.learned_scales:
            new.learned_scales[after] = nn.Parameter(model.learned_scales[before].detach().clone())
            tensors[f"learned_scales.{after}"] = Origin(f"learned_scales.{before}")
    tensors |= {f"observation.{name}": Origin(f"observation.{name}") for name in new.observation.state_dict()}
    sites = {
        f"{name}.slab": Origin(f"{small.origins[name].name}.slab", small.origins[name].index)
        for name in new.links
    } | {site: Origin(site, index) for site, index in kept.items()}
    new.held = {}
    for name in new.links:
        before = small.origins[name].name
        shape = attrgetter(before)(model.net).shape
        is_open = opened_entries(model.links[before], opened, shape)
        there = small.origins[name].of(is_open) > 0
        if not bool(there.all()):
            new.held[name] = there
    return ModelCut(new, tensors, sites)


def _prior_of(prior: Any, opened: Tensor, index: Tensor) -> Any:
    """The prior of the gates that are left: of one value for all, or with a value for each."""
    if isinstance(prior, Tensor) and prior.dim():
        return prior.expand(opened.shape).flatten()[index]
    return prior


@torch.no_grad()
def _misfit(
    model: Any, small: SmallNetwork, slabs: Mapping[str, Tensor], opened: Mapping[str, Tensor]
) -> str:
    """Why the small network does not compute what the gated one does; empty where it does."""
    inputs = example_like(model.example, model.net)
    with evaluating(model.net):
        wanted = gated(model.net, model.plan, slabs, opened, inputs)
    trial = copy.deepcopy(small.net)
    for name, parameter in trial.named_parameters():
        origin = small.origins[name]
        if origin.name in slabs:
            parameter.copy_(origin.of(slabs[origin.name]))
    return difference(trial, inputs, wanted)
