r"""Modules run with other parameters, by what a parameter is and not by what it is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["call_with", "places_of"]


def places_of(module: nn.Module) -> dict[int, list[str]]:
    """Where each parameter and buffer stands, by its ``id``: one name for each module that holds it.

    A module that is known by several names counts once, by its first name.

    Args:
        module: Any module.
    """
    places: dict[int, list[str]] = {}
    for prefix, one in module.named_modules():
        for key, value in (*one._parameters.items(), *one._buffers.items()):
            if value is not None:
                places.setdefault(id(value), []).append(f"{prefix}.{key}" if prefix else key)
    return places


def call_with(module: nn.Module, values: Mapping[str, Tensor], args: Any, kwargs: Any = None) -> Any:
    """Run a module with other parameters and buffers, wherever they stand in it.

    ``torch.func.functional_call`` with ``tie_weights`` swaps a parameter once for each name. A module with
    two names is left with the second of the new values, since that is what stood there when it was swapped
    again.

    Args:
        module: The module, which is left as it was.
        values: Parameters and buffers by name; any of their names will do, also in the keys of a value that
            stands in several modules. A place with a value of its own keeps to that.
        args: Positional arguments.
        kwargs: Arguments by name.

    Returns:
        What the module returns.
    """
    places = places_of(module)
    everything: dict[str, Tensor] = {}
    for name, value in values.items():
        own = _at(module, name)
        here = places.get(id(own), [name])
        if name in here:
            everything[name] = value
        for place in here:
            if place not in values:
                everything.setdefault(place, value)
    return functional_call(module, everything, args, kwargs, tie_weights=False)


def _at(module: nn.Module, name: str) -> Any:
    owner, _, key = name.rpartition(".")
    held = module.get_submodule(owner)
    return held._parameters.get(key, held._buffers.get(key))
