r"""A network cut to decided gates while it is trained, and where each of its entries comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer.shrink.origin import Origin
from l0bayes.network.export import shrink
from l0bayes.network.identity import put_module
from l0bayes.network.plan import GatePlan
from l0bayes.network.preparation import copy_network
from l0bayes.network.small_plan import small_plan

__all__ = ["SmallNetwork", "small_network"]


@dataclass(frozen=True)
class SmallNetwork:
    """What is left of a network once gates are shut for good.

    Attributes:
        net: The network, of plain layers.
        plan: What is known of its layers, and the gates that it has left.
        origins: Where its parameters and floating buffers come from, by name.
    """

    net: nn.Module
    plan: GatePlan
    origins: dict[str, Origin]


@torch.no_grad()
def small_network(
    net: nn.Module,
    plan: GatePlan,
    opened: Mapping[str, Tensor],
    remove: bool = True,
    decided: bool = True,
) -> SmallNetwork:
    r"""Take out for good what shut gates multiply by 0, with a note of where everything else comes from.

    It is what :func:`~l0bayes.network.shrink` leaves of a network whose entries are their own numbers: what
    is taken out, selected or folded to 0 shows in what is left.

    Args:
        net: The prepared network.
        plan: Its gates, none of them on single weights or groups.
        opened: Zeros and ones by gate site.
        remove: Whether to take anything out; otherwise entries are held at 0 at full size.
        decided: Whether gates that are not shut are open for good, so that none are left.
    """
    marked = copy_network(net)
    begins, names = [], []
    count = 1  # 0 is what a shut gate leaves
    for name, value in _tensors(marked).items():
        number = torch.arange(count, count + value.numel(), dtype=torch.float64).reshape(value.shape)
        _put(marked, name, number)
        begins.append(count)
        names.append(name)
        count += value.numel()
    gates = {site: value.double().cpu() for site, value in opened.items()}
    small = shrink(marked, plan, {}, gates, remove)
    whole, starts = _tensors(net), torch.tensor(begins)
    origins = {}
    for name, value in _tensors(small).items():
        numbers = value.detach().long()
        held = numbers == 0
        if not numbers.numel() or bool(held.all()):
            origins[name] = Origin(name, numbers - 1)
            like = whole.get(name, next(net.parameters()))  # marks are in other numbers
            _put(small, name, torch.zeros_like(value, dtype=like.dtype))
            continue
        at = int(torch.searchsorted(starts, numbers.max(), right=True)) - 1
        own = whole[names[at]]
        same = numbers.shape == own.shape and not bool(held.any())
        index = torch.where(held, -1, numbers - begins[at])
        origins[name] = Origin(names[at], None if same else index)
        _put(small, name, origins[name].of(own))
    small.to(next(net.parameters()).device)
    small.train(net.training)
    modes = {name: module.training for name, module in net.named_modules()}
    for name, module in small.named_modules():  # a user may have set some of them to evaluation
        module.training = modes.get(name, module.training)
    if not decided:
        for name in plan.heads.keys() & dict(small.named_modules()).keys():  # torch's own has no gates
            put_module(small, name, plan.trace.layers[name].kind.gateable(small.get_submodule(name)))
    left = small_plan(small, plan, origins, gates, decided)
    for name, parameter in small.named_parameters():
        parameter.requires_grad_(name not in left.frozen)
    return SmallNetwork(small, left, origins)


def _tensors(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and floating buffers, each once."""
    values = (*net.named_parameters(), *net.named_buffers())
    return {name: value for name, value in values if value.is_floating_point()}


def _put(net: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor in the place of another, wherever this stands."""
    owner, _, key = name.rpartition(".")
    held = net.get_submodule(owner)
    old = held._parameters.get(key, held._buffers.get(key))
    new = nn.Parameter(value) if isinstance(old, nn.Parameter) else value  # one, so that ties stay
    for module in net.modules():
        places: list[dict[str, Any]] = [vars(module)["_parameters"], vars(module)["_buffers"]]
        for kept in places:
            for one, found in kept.items():
                if found is old:
                    kept[one] = new
