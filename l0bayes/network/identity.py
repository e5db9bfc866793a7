r"""Modules and parameters by what they are: one thing may have several names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["first_names", "names_of", "names_of_parameters", "put_module"]


def names_of(net: nn.Module) -> dict[str, tuple[str, ...]]:
    """All names of every module, by the first of them.

    Args:
        net: Any module.
    """
    names: dict[nn.Module, list[str]] = {}
    for name, module in net.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    return {several[0]: tuple(several) for several in names.values()}


def first_names(net: nn.Module) -> dict[str, str]:
    """The first name of a module, by each of its names.

    Args:
        net: Any module.
    """
    return {name: first for first, several in names_of(net).items() for name in several}


def names_of_parameters(net: nn.Module) -> dict[str, tuple[str, ...]]:
    """All names of every parameter, by the first of them.

    Two parameters that are one place in memory, as after ``a.weight.data = b.weight.data``, are one.

    Args:
        net: Any module.
    """
    names: dict[Any, list[str]] = {}
    for name, parameter in net.named_parameters(remove_duplicate=False):
        names.setdefault(_identity(parameter), []).append(name)
    return {several[0]: tuple(several) for several in names.values()}


def _identity(parameter: nn.Parameter) -> Any:
    """The same for parameters that a step changes together."""
    if parameter.layout != torch.strided or not parameter.numel() or not parameter.data_ptr():
        return id(parameter)
    return parameter.device, parameter.data_ptr(), parameter.shape, parameter.stride(), parameter.dtype


def put_module(net: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of another, under all names that this has.

    Args:
        net: The network.
        name: One of its names.
        module: What comes there.
    """
    old = net.get_submodule(name)
    for owner in list(net.modules()):
        for key, child in owner._modules.items():
            if child is old:
                owner._modules[key] = module
