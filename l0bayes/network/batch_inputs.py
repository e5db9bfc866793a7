r"""A network's inputs and the targets beside them, however a batch holds them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from l0bayes.infer.model_arguments import as_arguments
from l0bayes.network.structure import Named, arguments_of

__all__ = ["as_inputs", "inputs_of", "split_batch"]

# What the target of a batch that is a dictionary may be called.
_TARGETS = ("y", "target", "targets", "label", "labels")


def as_inputs(net: nn.Module, x: Any) -> tuple[Any, ...]:
    """A network's arguments: one tensor, several as a tuple, or by name as a dictionary.

    A dictionary is a single argument where ``forward`` has no parameters of these names.

    Args:
        net: The network.
        x: The inputs.
    """
    if isinstance(x, Mapping) and not isinstance(x, Named):
        return (Named(x),) if Named(x).suits(net) else (x,)
    return as_arguments(x)


def inputs_of(net: nn.Module, batch: Any) -> tuple[Any, ...]:
    """A network's arguments; of a dictionary without the targets in it, unless ``forward`` takes them.

    Args:
        net: The network.
        batch: Inputs, or a dictionary of inputs and targets.
    """
    key = _target_of(net, batch) if isinstance(batch, Mapping) and not isinstance(batch, Named) else None
    if key is None or Named({key: None}).suits(net):
        return as_inputs(net, batch)
    return _of_dictionary(net, None, {name: value for name, value in batch.items() if name != key})


def split_batch(net: nn.Module, example: tuple[Any, ...], batch: Any) -> tuple[tuple[Any, ...], Any]:
    """Inputs and targets of a batch: ``(x, y)``, ``((x1, x2), y)``, ``(x1, x2, y)``, or a dictionary.

    In a dictionary the target is ``"y"``, ``"target"``, ``"targets"``, ``"label"`` or ``"labels"``, the first
    of them that is no input which the network's ``forward`` has to be given.

    Args:
        net: The network.
        example: Arguments that it takes.
        batch: The model's arguments; the target is the last one, and may be left out.

    Raises:
        TypeError: If there are too many, or those of a dictionary are none of the network's.
    """
    arguments: tuple[Any, ...] = as_arguments(batch)
    while len(arguments) > 1 and arguments[-1] is None:
        arguments = arguments[:-1]
    first, *rest = arguments
    if isinstance(first, Mapping) and not rest:
        target = _target_of(net, first)
        held = {key: value for key, value in first.items() if key != target}
        return _of_dictionary(net, example, held), None if target is None else first[target]
    count = len(arguments_of(example)[0]) or 1
    if count > 1 and not isinstance(first, tuple | list | Mapping):
        inputs, rest = tuple(arguments[:count]), list(arguments[count:])
    elif isinstance(first, Mapping):
        inputs = _of_dictionary(net, example, first)
    else:
        inputs = as_inputs(net, first)
    if len(rest) > 1:
        raise TypeError(
            f"a batch holds {len(arguments)} tensors for a network of {count} inputs and a target; give "
            "several inputs as a tuple, ((x1, x2), y), and example=(x1, x2) to SparseNetwork"
        )
    return inputs, rest[0] if rest else None


def _target_of(net: nn.Module, batch: Mapping[str, Any]) -> str | None:
    needed = {
        name
        for name, one in _parameters(net).items()
        if one.default is one.empty and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    }
    return next((key for key in _TARGETS if key in batch and key not in needed), None)


def _of_dictionary(
    net: nn.Module, example: tuple[Any, ...] | None, held: Mapping[str, Any]
) -> tuple[Any, ...]:
    """Arguments of a network from inputs by name, without targets."""
    if Named(held).suits(net):
        return (Named(held),)
    known = None if example is None else example[0]
    if isinstance(known, Mapping) and not isinstance(known, Named):  # it takes a dictionary
        return (dict(held),)
    if len(held) == 1:
        return tuple(held.values())
    if known is None:
        return (dict(held),)
    unknown = [key for key in held if not Named({key: None}).suits(net)]
    raise TypeError(
        f"a batch holds {', '.join(map(repr, unknown))}, which the network's forward does not take: its "
        f"parameters are {', '.join(_parameters(net)) or 'none'}. Leave it out of the batches (a collate_fn "
        f"of the DataLoader can), or call the target one of {', '.join(_TARGETS)}"
    )


def _parameters(net: nn.Module) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(net.forward).parameters
    except (TypeError, ValueError):
        return {}
