"""Which of the modules that a glob means are blocks that a network can do without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from l0bayes.network.kinds import kind_of
from l0bayes.network.units import TracedBlock

__all__ = ["optional_blocks"]


def optional_blocks(net: nn.Module, traced: Mapping[str, TracedBlock], names: Sequence[str]) -> set[str]:
    """The blocks among modules that a glob, or one word for all, means.

    A block has parameters and several parts, and is either only added to something or has the shape of what
    it gets. Of blocks within blocks these are the inner ones, so that a stack is one of its blocks each;
    single layers count where there is nothing else. A module that is named by itself need not have parts.

    Args:
        net: The network.
        traced: What a run showed of the modules.
        names: Names of the modules that are meant.
    """
    modules = dict(net.named_modules(remove_duplicate=False))
    able = [
        name
        for name in names
        if name and traced[name].is_optional and any(True for _ in modules[name].parameters())
    ]
    several = [name for name in able if kind_of(modules[name]) is None and [*modules[name].children()]]
    if not several:
        return {name for name in able if traced[name].is_only_added}
    return {name for name in several if not any(other.startswith(f"{name}.") for other in several)}
