r"""Counts on plain networks, which need no gates."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.network.kinds import layers_of, no_layers
from l0bayes.network.mac_tally import MacTally
from l0bayes.network.structure import arguments_of
from l0bayes.network.units import rows_of

__all__ = ["count_macs", "count_nonzero", "operations_by_module"]


class _Counting(TorchDispatchMode):
    def __init__(self, tally: MacTally) -> None:
        super().__init__()
        self.tally = tally

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in the tracker

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.tally.operation(func, args, kwargs or {}, out)
        return out


def count_macs(net: nn.Module, example: tuple[Any, ...]) -> float:
    """Multiply-accumulates an example of a plain network, counted as it runs in evaluation mode.

    Layers are counted by their kind, recurrent layers and attention by formula, and whatever else runs
    operation by operation. A warning names operations that are not known.

    Args:
        net: Any network.
        example: Its arguments, one row or more.
    """
    tally = MacTally()
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(evaluating(net))
        kinds = layers_of(net)
        tally.watch(stack, net, [*no_layers(net), *kinds], kinds)
        stack.enter_context(_Counting(tally))
        args, named = arguments_of(example)
        net(*args, **named)
    if tally.uncounted:
        unknown = sorted(set().union(*tally.uncounted.values()))
        warnings.warn(f"multiply-accumulates of {', '.join(unknown)} are unknown and left out", stacklevel=2)
    return sum(tally.macs.values()) / rows_of(example)


def operations_by_module(net: nn.Module, example: tuple[Any, ...]) -> dict[str, float] | None:
    """Multiply-accumulates an example by the module that runs them, operation by operation and by no kind.

    Args:
        net: Any network.
        example: Its arguments.

    Returns:
        The counts by name of the module; ``None`` where an operation is not known.
    """
    tally = MacTally()
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(evaluating(net))
        tally.watch(stack, net, [name for name, _ in net.named_modules()], {})
        stack.enter_context(_Counting(tally))
        args, named = arguments_of(example)
        net(*args, **named)
    rows = rows_of(example)
    return None if tally.uncounted else {name: count / rows for name, count in tally.macs.items()}


def count_nonzero(net: nn.Module) -> int:
    """Parameters of a plain network that are not 0, biases and normalisation included.

    What gates leave open may be 0 all the same: a weight that was pruned before, or one that underflowed.
    This is the count that needs no gates.

    Args:
        net: Any network; parameters that layers share count once.
    """
    return sum(int(torch.count_nonzero(parameter)) for parameter in net.parameters())
