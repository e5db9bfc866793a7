r"""Numbers of heads in attributes of modules, which have to follow when heads are taken out."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from l0bayes.network.plan import GatePlan
from l0bayes.network.units import TracedHeads

__all__ = ["Numbers", "gates_without_a_head", "possible_numbers", "write_numbers"]

Numbers = tuple[tuple[str, str], ...]
"""Attributes that hold numbers of heads: (module, attribute)."""

_OF_ONE_HEAD = ("dim", "size", "width", "rank")


def possible_numbers(net: nn.Module, heads: TracedHeads) -> list[Numbers]:
    """What attributes may have to follow, the most likely ones first: none of them is the last.

    Those named after heads that hold a number of heads (``num_heads``, ``n_kv_heads``), and with them
    those that hold a number of features of all heads (``inner_dim``).

    Args:
        net: The network.
        heads: The heads.
    """
    counts, widths = [], []
    for name in heads.modules:
        for key, value in vars(net.get_submodule(name)).items():
            of_heads = "head" in key.lower() and not any(word in key.lower() for word in _OF_ONE_HEAD)
            if type(value) is int and of_heads and value in heads.counts:
                counts.append((name, key))
            elif type(value) is int and value in heads.widths:
                widths.append((name, key))
    return [*dict.fromkeys((tuple(counts), (*counts, *widths), ()))]


def gates_without_a_head(plan: GatePlan, heads: TracedHeads) -> dict[str, Tensor] | None:
    """Gates that are open, but for those of the last head; ``None`` where it cannot be shut.

    Args:
        plan: A network's gates.
        heads: The heads.
    """
    gates = {site: torch.ones(spec.shape) for site, spec in plan.specs.items()}
    unit, shut = int(heads.units[-1]), False
    for name, factors in plan.inputs.items():
        for feature in torch.nonzero(plan.trace.layers[name].inputs == unit).flatten().tolist():
            own = [(one.site, int(one.index[feature])) for one in factors if int(one.index[feature]) >= 0]
            if not own:
                return None
            gates[own[0][0]][own[0][1]] = 0.0
            shut = True
    return gates if shut else None


def write_numbers(small: nn.Module, heads: Iterable[TracedHeads], present: Tensor) -> None:
    """Write numbers of heads into the modules of a network whose layers have been cut.

    Args:
        small: The network.
        heads: The heads.
        present: Whether each unit is there.
    """
    for one in heads:
        left, total = int(present[one.units].sum()), len(one.units)
        for name, key in one.numbers:
            module = small.get_submodule(name)
            setattr(module, key, getattr(module, key) * left // total)
