r"""Copies of networks: ready for gates, or with statistics computed anew."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network.identity import put_module
from l0bayes.network.kinds import Selective, layers_of

__all__ = ["copy_network", "prepare", "recalibrate_norms"]


def copy_network(net: nn.Module) -> nn.Module:
    """A copy that shares nothing.

    Older ways to compute a weight before each run (``weight_norm``, ``prune``) leave the last one as an
    attribute with a graph behind it, which ``copy.deepcopy`` refuses. The copy holds its value.

    Args:
        net: Any module.
    """
    memo: dict[int, Any] = {}
    for module in net.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(net, memo)


def prepare(net: nn.Module) -> nn.Module:
    """A copy of a network whose layers can all be gated.

    Args:
        net: Any module.

    Raises:
        TypeError: If it is what deploying another one left.
    """
    for name, module in net.named_modules():
        if isinstance(module, Selective):
            raise TypeError(
                f"{name!r} is a {type(module).__name__}, which reads part of its input: this network was "
                "deployed before. Gate the network that it was deployed from"
            )
    new = copy_network(net)
    for name, kind in layers_of(new).items():
        module = new.get_submodule(name)
        ready = kind.gateable(module)
        if ready is not module and not name:
            return ready
        if ready is not module:
            put_module(new, name, ready)
    return new


@torch.no_grad()
def recalibrate_norms(net: nn.Module, x: Tensor, batch_size: int = 500) -> None:
    """Compute the running statistics of batch normalisation anew, in place.

    Args:
        net: A plain network.
        x: Inputs, as many as make a good average.
        batch_size: Examples at a time.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    kept = [norm.momentum for norm in norms]
    net.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    for rows in x.split(batch_size):
        net(rows)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
        norm.eval()
