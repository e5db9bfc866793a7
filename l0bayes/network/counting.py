r"""Counts on plain networks, which need no gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.randomness import private_randomness
from l0bayes.network.batch_inputs import inputs_of
from l0bayes.network.kinds import LayerKind, layers_of, no_layers
from l0bayes.network.mac_tally import MacTally
from l0bayes.network.operations import run_in_parts
from l0bayes.network.structure import arguments_of
from l0bayes.network.units import one_row_more, rows_of
from l0bayes.user_warnings import warn_user

__all__ = ["count_macs", "count_nonzero", "longer_run", "operations_by_module"]


class _Counting(TorchDispatchMode):
    def __init__(self, tally: MacTally) -> None:
        super().__init__()
        self.tally = tally

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in the tracker

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out, whole = run_in_parts(self, func, args, kwargs)
        if whole:
            self.tally.operation(func, args, kwargs, out)
        return out


def count_macs(net: nn.Module, example: Any) -> float:
    """Multiply-accumulates of a run of one example, counted on a plain network in evaluation mode.

    Layers are counted by their kind, recurrent layers and attention by formula, and whatever else runs
    operation by operation. A warning names operations that are not known.

    What grows with the number of examples is divided by it. What is done once a run (a weight that is
    computed anew, such as that of a spectral norm) counts in full, as a run of a single example has to do it:
    so the number is the same for an example of any number of rows. To tell the two apart the network runs a
    second time, with one more row; where it cannot, all is divided.

    Args:
        net: Any network.
        example: Its arguments, one row or more: a tuple, or a tensor or dictionary of inputs by name.
    """
    kinds, example = layers_of(net), inputs_of(net, example)
    tally = _tally(net, example, [*no_layers(net), *kinds], kinds)
    if tally.uncounted:
        unknown = sorted(set().union(*tally.uncounted.values()))
        warn_user(f"multiply-accumulates of {', '.join(unknown)} are unknown and left out")
    return sum(tally.macs.values())


def operations_by_module(net: nn.Module, example: tuple[Any, ...]) -> dict[str, float] | None:
    """Multiply-accumulates of one example by the module that runs them, by operation and not by kind.

    Args:
        net: Any network.
        example: Its arguments.

    Returns:
        The counts by name of the module; ``None`` where an operation is not known.
    """
    tally = _tally(net, example, [name for name, _ in net.named_modules()], {})
    return None if tally.uncounted else tally.macs


def _tally(
    net: nn.Module, example: tuple[Any, ...], names: list[str], kinds: Mapping[str, LayerKind]
) -> MacTally:
    longer = longer_run(net, example, names, kinds) if rows_of(example) > 1 else None
    tally = _run(net, example, names, kinds)
    if longer is not None:
        tally.once = tally.once_beside(longer)
    return tally


def longer_run(
    net: nn.Module, example: tuple[Any, ...], names: Iterable[str], kinds: Mapping[str, LayerKind]
) -> MacTally | None:
    """What runs where there is one example more; ``None`` where that cannot be.

    What costs the same in both runs is done once a run, however many examples there are.

    Args:
        net: Any network.
        example: Its arguments.
        names: Modules that are counted one by one; what others do is counted with their owner.
        kinds: Kinds of those that are layers.
    """
    more = one_row_more(example)
    if rows_of(more) != rows_of(example) + 1:  # examples are in an object of a class of its own
        return None
    try:
        with private_randomness(0):
            return _run(net, more, list(names), kinds)
    except Exception:  # made for this number of examples
        return None


def _run(
    net: nn.Module, example: tuple[Any, ...], names: list[str], kinds: Mapping[str, LayerKind]
) -> MacTally:
    tally = MacTally(rows_of(example))
    args, named = arguments_of(example)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(evaluating(net))
        tally.watch(stack, net, names, kinds)
        stack.enter_context(_Counting(tally))
        net(*args, **named)
    return tally


def count_nonzero(net: nn.Module) -> int:
    """Parameters of a plain network that are not 0, biases and normalisation included.

    What gates leave open may be 0 all the same: a weight that was pruned before, or one that underflowed.
    This is the count that needs no gates.

    Args:
        net: Any network; parameters that layers share count once.
    """
    return sum(int(torch.count_nonzero(parameter)) for parameter in net.parameters())
