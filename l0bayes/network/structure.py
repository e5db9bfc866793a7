r"""What goes into a network and comes out of it: tensors, alone or in any container."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Named", "arguments_of", "fresh_like", "map_tensors", "tensors_by_name", "tensors_in"]


class Named(dict[str, Any]):
    """Arguments of a network by name; as its only positional argument it stands for them."""

    def suits(self, net: nn.Module) -> bool:
        """Whether a network's ``forward`` has parameters of these names."""
        try:
            parameters = inspect.signature(net.forward).parameters
        except (TypeError, ValueError):
            return False
        anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
        return all(isinstance(key, str) and (anything or key in parameters) for key in self)


def arguments_of(inputs: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional arguments and arguments by name.

    Args:
        inputs: A network's inputs.
    """
    if len(inputs) == 1 and isinstance(inputs[0], Named):
        return (), dict(inputs[0])
    return inputs, {}


def tensors_by_name(value: Any, name: str = "") -> dict[str, Tensor]:
    """All tensors in a value, by where they stand: in tuples, lists, mappings, dataclasses and plain objects.

    Args:
        value: Anything.
        name: What the value itself is called.
    """
    if isinstance(value, Tensor):
        return {name: value}
    parts: dict[str, Any] = {}
    if isinstance(value, Mapping):
        parts = {f"{name}[{key!r}]": one for key, one in value.items()}
    elif isinstance(value, tuple) and (keys := getattr(value, "_fields", None)) is not None:
        parts = {f"{name}.{key}": one for key, one in zip(keys, value, strict=True)}
    elif isinstance(value, list | tuple):
        parts = {f"{name}[{index}]": one for index, one in enumerate(value)}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f"{name}.{field.name}": getattr(value, field.name) for field in dataclasses.fields(value)}
    elif hasattr(value, "__dict__") and not callable(value):
        parts = {f"{name}.{key}": one for key, one in vars(value).items()}
    return {where: x for one, part in parts.items() for where, x in tensors_by_name(part, one).items()}


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in a value, in their order.

    Args:
        value: Anything.
    """
    return list(tensors_by_name(value).values())


def map_tensors(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """The same tuples, lists and mappings with other tensors in them; anything else as it is.

    Args:
        value: Anything.
        change: From a tensor to what comes in its place.
    """
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        changed = {key: map_tensors(one, change) for key, one in value.items()}
        return Named(changed) if isinstance(value, Named) else changed
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(one, change) for one in value))
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(one, change) for one in value)
    return value


def fresh_like(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Other inputs of the same kind: the entries of each tensor in another order.

    So numbers of rows of a table stay in range, and masks are masks.

    Args:
        inputs: Arguments of a network.
    """
    generator = torch.Generator().manual_seed(0)

    def change(x: Tensor) -> Tensor:
        if x.dtype == torch.bool:
            return x
        return x.flatten()[torch.randperm(x.numel(), generator=generator).to(x.device)].reshape(x.shape)

    result: tuple[Any, ...] = map_tensors(inputs, change)
    return result
