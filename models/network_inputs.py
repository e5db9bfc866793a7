r"""A network's inputs and the targets beside them, however a batch holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from l0bayes.network import Named

__all__ = ["as_inputs", "split_batch"]

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
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def split_batch(net: nn.Module, count: int, arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """Inputs and targets of a batch: ``(x, y)``, ``((x1, x2), y)``, ``(x1, x2, y)``, or a dictionary.

    In a dictionary the target is ``"y"``, ``"target"``, ``"targets"``, ``"label"`` or ``"labels"``.

    Args:
        net: The network.
        count: Number of its positional arguments.
        arguments: The model's arguments; the target is the last one, and may be left out.

    Raises:
        TypeError: If there are too many.
    """
    while len(arguments) > 1 and arguments[-1] is None:
        arguments = arguments[:-1]
    first, *rest = arguments
    if isinstance(first, Mapping) and not rest:
        target = next((key for key in _TARGETS if key in first), None)
        held = {key: value for key, value in first.items() if key != target}
        single = len(held) == 1 and not Named(held).suits(net)
        inputs = tuple(held.values()) if single else as_inputs(net, held)
        return inputs, None if target is None else first[target]
    if count > 1 and not isinstance(first, tuple | list | Mapping):
        inputs, rest = tuple(arguments[:count]), list(arguments[count:])
    else:
        inputs = as_inputs(net, first)
    if len(rest) > 1:
        raise TypeError(
            f"a batch holds {len(arguments)} tensors for a network of {count} inputs and a target; give "
            "several inputs as a tuple, ((x1, x2), y), and example=(x1, x2) to SparseNetwork"
        )
    return inputs, rest[0] if rest else None
