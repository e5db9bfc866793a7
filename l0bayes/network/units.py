"""Whether the units of a network can be removed one by one."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from l0bayes.network.shrink import members

__all__ = ["check_units"]


def check_units(net: nn.Sequential, names: Sequence[str], placement: Mapping[str, str]) -> None:
    """Refuse units that are gated twice, and gated units that a later module mixes before they are read.

    Args:
        net: Linear layers and modules without parameters.
        names: Names of the Linear layers, in order.
        placement: Where each gated layer has its gates: ``"input"``, ``"output"`` or ``"weight"``.

    Raises:
        ValueError: If units cannot be removed one by one.
    """
    modules = dict(members(net))
    order = list(modules)
    for name, after in itertools.pairwise(names):
        gated = [placement.get(name) == "output", placement.get(after) == "input"]
        if all(gated):
            raise ValueError(f"the units between layers {name!r} and {after!r} are gated twice")
        between = [modules[key] for key in order[order.index(name) + 1 : order.index(after)]]
        if any(gated) and not _acts_unitwise(between, net.get_submodule(name)):
            kinds = ", ".join(type(module).__name__ for module in between)
            raise ValueError(
                f"the units between layers {name!r} and {after!r} are gated but mixed by the modules between "
                f"({kinds}), so that a shut unit could not be removed; use elementwise activations or gates "
                'on "weight"'
            )


def _acts_unitwise(modules: list[nn.Module], layer: nn.Module) -> bool:
    """Whether leaving units out before and after the modules is the same."""
    assert isinstance(layer, nn.Linear)
    units, weight = layer.out_features, layer.weight
    probe = torch.linspace(-3.0, 3.0, 3 * units, dtype=weight.dtype, device=weight.device).reshape(3, units)
    run = nn.Sequential(*copy.deepcopy(modules)).eval()
    try:
        whole, part = run(probe.clone()), run(probe[:, ::2].clone())
    except Exception:  # a module that is made for this number of units
        return False
    # Rounding may depend on how a row is cut into vectors.
    return whole.shape == probe.shape and torch.allclose(whole[:, ::2], part, 0.01, 0.0, equal_nan=True)
