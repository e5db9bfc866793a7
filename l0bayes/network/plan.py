r"""What each gate of a network multiplies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from l0bayes.network.units import UnitTrace

__all__ = ["Factor", "GatePlan", "GateSpec"]


@dataclass(frozen=True)
class GateSpec:
    """One gate site.

    Attributes:
        name: Name of the site.
        shape: Shape of its gates.
        placement: What kind of gates: a :data:`GatePlacement`, or ``"group"``.
        owner: The module, or group, that it was asked for.
        pattern: The glob that asked for it.
        weights: Parameters of the owner that each gate multiplies, for penalties per parameter.
    """

    name: str
    shape: tuple[int, ...]
    placement: str
    owner: str
    pattern: str
    weights: float


@dataclass(frozen=True)
class Factor:
    """What one gate site contributes to a vector of features.

    Attributes:
        site: Name of the site.
        index: Gate of each feature, ``torch.long``; -1 where the feature has none of this site.
        partial: Whether there are any -1.
        in_order: Whether feature j has gate j.
    """

    site: str
    index: Tensor
    # Kept, since networks run where values may not be read.
    partial: bool = field(init=False)
    in_order: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "partial", bool((self.index < 0).any()))
        counted = torch.arange(self.index.numel()).reshape(self.index.shape)
        object.__setattr__(self, "in_order", bool((self.index.cpu() == counted).all()))

    def of(self, gates: Mapping[str, Tensor]) -> Tensor:
        """Values of the features, of shape ``(..., features)``, for gate values by site."""
        values = gates[self.site]
        if self.partial:  # -1 indexes the one that is appended
            values = torch.cat([values, values.new_ones(*values.shape[:-1], 1)], -1)
        elif self.in_order and self.index.dim() == 1 and len(self.index) == values.shape[-1]:
            return values
        return values[..., self.index]


@dataclass
class GatePlan:
    """All gate sites of a network and what they multiply.

    Attributes:
        specs: Gate sites by name, in the order of the network.
        trace: The units that they gate.
        inputs: Layer to what multiplies its input features.
        outputs: Layer to the gates that its output units carry (they act where the units are read).
        local: Layer to its own site on input features, where that is finer than units.
        weight: Layer to its site of one gate a weight.
        heads: Attention to its site.
        blocks: Module to its site.
        groups: Parameter to the (site, gate of each entry or -1) that multiply it.
        of_heads: Module to the gates of its heads, where their products run outside of layers.
        output: What multiplies the network's output.
        closable: For units whose every reader has gates of its own: unit to the (site, gate) pairs.
        held: Layers whose units stay, since smaller layers do not fit the network's ``forward``, and why not.
        passed_over: Layers that a glob means and that cannot have its gates: layer to the reason.
        frozen: Parameters that are not trained, as the user set it (``requires_grad``).
    """

    specs: dict[str, GateSpec]
    trace: UnitTrace
    inputs: dict[str, list[Factor]] = field(default_factory=dict)
    outputs: dict[str, list[Factor]] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    weight: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[Factor]] = field(default_factory=dict)
    of_heads: dict[str, list[Factor]] = field(default_factory=dict)
    output: list[Factor] = field(default_factory=list)
    closable: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()

    def is_added(self, block: str) -> bool:
        """Whether a gated block is 0 once it is shut, since its caller adds it; else its input passes by."""
        return self.trace.blocks[block].is_only_added and not self.trace.blocks[block].holds_skip

    def blocks_around(self, name: str) -> list[str]:
        """Sites of the gated blocks that all a module runs is part of.

        Args:
            name: A layer, or another module that the trace knows.
        """
        one = self.trace.layers.get(name) or self.trace.others[name]
        return [site for block, site in self.blocks.items() if block in one.blocks]
