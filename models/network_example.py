r"""What a network is laid out on: a module with its weights, and inputs to run it with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from l0bayes.infer.argument_faults import not_tensor
from l0bayes.network import inputs_of, map_tensors, nearest_kind

__all__ = ["network_example", "refuse_unready"]

# Modules that run another one elsewhere, by the name of their class, and where they hold it.
_WRAPPERS = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "OptimizedModule": "_orig_mod",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
}


def refuse_unready(net: nn.Module) -> None:
    """Refuse what runs the network's modules elsewhere, and layers that do not have their weights yet.

    Args:
        net: The network.

    Raises:
        TypeError: If a module runs another one where the weights that are drawn for it do not take part.
        ValueError: If a layer is lazy, and was not run yet.
    """
    lazy = next((name for name, one in net.named_parameters() if is_lazy(one)), None)
    if lazy is not None:
        raise ValueError(
            f"net has a lazy layer that has no size yet (its parameter {lazy!r}); run the network once on a "
            "batch before you give it: net(x[:2])"
        )
    for name, module in net.named_modules():
        inner = next((key for cls, key in _WRAPPERS.items() if type(module).__name__ == cls), None)
        if inner is not None and inner in module._modules:
            where = f"net.{name}" if name else "net"
            raise TypeError(
                f"{where} is a {type(module).__name__}, which runs its module with other weights than those "
                f"drawn for it; give {where}.{inner}"
            )


def network_example(net: nn.Module, given: Any) -> tuple[Any, ...]:
    """Inputs of one or two examples, as positional arguments of a network.

    Args:
        net: The network.
        given: What the user gave: a tensor, several as a tuple or a dictionary; or ``None``.

    Raises:
        TypeError: If it holds what is no tensor.
        ValueError: If one is needed and there is none.
    """
    if given is not None:
        for value in given.values() if isinstance(given, Mapping) else _parts(given):
            if (words := not_tensor("example", value)) is not None:
                raise TypeError(f"{words}; of a batch the inputs alone, as example=x[:2]")
        found: tuple[Any, ...] = map_tensors(
            inputs_of(net, given), lambda x: (x[:2] if x.dim() else x).detach().clone()
        )
        return found
    nearest = [(module, kind) for module in net.modules() if (kind := nearest_kind(module)) is not None]
    first = next(((module, kind) for module, kind in nearest if "input" in kind.placements), None)
    if first is None:
        raise ValueError("net holds no Linear or convolution to gate")
    module, kind = first
    rows = kind.example(module, torch.Generator().manual_seed(0))
    if rows is None:
        raise ValueError(
            "example is needed, one or two rows of your data, to find how the units of this network hang "
            f"together: its first layer is a {type(module).__name__}, whose input size is not known"
        )
    return (rows,)


def _parts(given: Any) -> tuple[Any, ...]:
    several = isinstance(given, tuple | list) and any(isinstance(one, Tensor) for one in given)
    return tuple(given) if several else (given,)
