r"""The costs of many layers at once, where they follow from how many units each makes and reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.network.feature_rows import FeatureRow, FeatureSums
from l0bayes.network.kinds import CostTerms

__all__ = ["CostSums", "LayerSums"]


@dataclass(frozen=True)
class LayerSums:
    """What the cost of one layer is made of.

    Attributes:
        terms: Its cost by numbers of units.
        made: Its output features.
        read: Its input features.
        same: Pairs of output and input features that are one unit, of shape ``(2, pairs)``, or ``None``.
        blocks: Sites of the gated blocks that it stands in.
    """

    terms: CostTerms
    made: FeatureRow
    read: FeatureRow
    same: Tensor | None
    blocks: list[str]


class CostSums:
    r"""Costs of layers, as :math:`p_l\,(c_{l0} + c_{l1} M_l + c_{l2} R_l + c_{l3} (M_l R_l + S_l))`.

    M and R are the expected numbers of units that layer l makes and reads, S what features that are one unit
    add to their product, and p the probability that its blocks are there. A step under a target asks for
    this many times over, so that it is a few operations on all layers, and not a few on each.

    Args:
        layers: The layers.
        shapes: Shapes of gates by site.
    """

    def __init__(self, layers: Iterable[LayerSums], shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.layers = list(layers)
        self._sums = FeatureSums(
            [row for layer in self.layers for row in (layer.made, layer.read)],
            [site for layer in self.layers for site in layer.blocks],
            shapes,
        )
        terms = [(layer.terms.params, layer.terms.macs) for layer in self.layers]
        self._terms = torch.tensor(terms, dtype=torch.float64).reshape(-1, 2, 4)
        self._pairs = [
            (number, self._sums.places(2 * number, made), self._sums.places(2 * number + 1, read))
            for number, layer in enumerate(self.layers)
            if layer.same is not None
            for made, read in (layer.same,)
        ]
        width = max((len(layer.blocks) for layer in self.layers), default=0)
        self._blocks = [
            self._sums.gates_of([layer.blocks[at : at + 1] for layer in self.layers]) for at in range(width)
        ]

    def __call__(self, active: Mapping[str, Tensor], one: Tensor, decided: bool = False) -> Tensor:
        """Parameters and multiply-accumulates of the layers, of shape ``(layers, 2)``.

        Args:
            active: P(z != 0) by gate site.
            one: 1, of the gates' type and on their device.
            decided: Whether these are zeros and ones, so that a layer of which all is shut keeps one unit.
        """
        gates = self._sums.gates(active, one)
        sums, features = self._sums(gates, decided)
        made, read = sums.reshape(-1, 2).unbind(1)
        both = made * read
        if self._pairs:
            # A unit that is read is there: the pair's probability is that of reading it.
            extra = {n: (features[r] * (1.0 - features[m])).sum() for n, m, r in self._pairs}
            zero = one * 0.0
            both = both + torch.stack([extra.get(number, zero) for number in range(len(self.layers))])
        numbers = torch.stack([torch.ones_like(both), made, read, both], -1)
        for block in self._blocks:
            numbers = numbers * gates[block][:, None]
        terms = self._terms.to(numbers.dtype).to(numbers.device)
        return (terms * numbers[:, None]).sum(-1)
