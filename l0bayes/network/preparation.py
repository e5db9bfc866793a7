r"""Copies of networks: ready for gates, or with statistics computed anew."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.row_parts import parts_of_rows
from l0bayes.network.batch_inputs import inputs_of
from l0bayes.network.identity import names_of_parameters, put_module
from l0bayes.network.kinds import Selective, layers_of
from l0bayes.network.structure import arguments_of

__all__ = ["averaged_norms", "copy_network", "prepare", "recalibrate_norms"]


def copy_network(net: nn.Module) -> nn.Module:
    """A copy that shares nothing.

    Older ways to compute a weight before each run (``weight_norm``, ``prune``) leave the last one as an
    attribute with a graph behind it, which ``copy.deepcopy`` refuses. The copy holds its value. Parameters
    that are one place in memory (``a.weight.data = b.weight.data``) would be copied apart: they become one
    parameter of the copy.

    Args:
        net: Any module.
    """
    memo: dict[int, Any] = {}
    for module in net.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    named = dict(net.named_parameters(remove_duplicate=False))
    for several in names_of_parameters(net).values():
        one = copy.deepcopy(named[several[0]], memo)
        memo.update({id(named[name]): one for name in several})
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
    for module in new.modules():
        if isinstance(module, nn.TransformerEncoder):
            # Nested tensors are for torch's fused path alone, which knows no gates.
            module.use_nested_tensor = False
    for name, kind in layers_of(new).items():
        module = new.get_submodule(name)
        ready = kind.gateable(module)
        if ready is not module and not name:
            return ready
        if ready is not module:
            put_module(new, name, ready)
    return new


@torch.no_grad()
def recalibrate_norms(net: nn.Module, x: Any, batch_size: int = 500) -> None:
    """Compute the running statistics of batch normalisation anew, in place.

    Args:
        net: A plain network.
        x: Inputs, as many as make a good average: a tensor, a tuple of several, or a dictionary by name.
        batch_size: Examples at a time.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    net.eval()
    for norm in norms:
        norm.train()

    def run(part: tuple[Any, ...]) -> None:
        args, named = part
        net(*args, **named)

    averaged_norms(net, parts_of_rows(arguments_of(inputs_of(net, x)), batch_size), run)
    net.eval()


@torch.no_grad()
def averaged_norms(net: nn.Module, batches: Iterable[Any], run: Callable[[Any], Any]) -> bool:
    """Replace the running statistics of every batch normalisation in training mode by plain averages.

    Dropout is off for the while; modes come back.

    Args:
        net: The network.
        batches: What it is run on.
        run: Runs it on one of them.

    Returns:
        Whether there are any.
    """
    norms: list[Any] = [
        module
        for module in net.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.training
        and module.running_mean is not None
    ]
    if not norms:
        return False
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    with evaluating(net):
        for norm in norms:
            norm.num_batches_tracked = torch.zeros_like(norm.num_batches_tracked)
            norm.momentum, norm.training = None, True  # a plain average, whose first entry counts alone
        try:
            for batch in batches:
                run(batch)
        finally:
            for norm, (momentum, count) in zip(norms, kept, strict=True):
                norm.momentum, norm.num_batches_tracked = momentum, count
    return True
