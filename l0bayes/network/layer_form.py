r"""What the cost of one layer depends on, worked out once."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from l0bayes.network.cost_sums import LayerSums
from l0bayes.network.feature_rows import FeatureRow
from l0bayes.network.kinds import CostTerms, Presence
from l0bayes.network.plan import Factor, GatePlan
from l0bayes.network.units import TracedHeads, TracedLayer

__all__ = ["LayerForm", "sums_of_heads"]


class LayerForm:
    """From probabilities of gates to probabilities of a layer's parts.

    Args:
        layer: The layer.
        plan: The network's gates.
    """

    def __init__(self, layer: TracedLayer, plan: GatePlan) -> None:
        trace, self.layer, name = plan.trace, layer, layer.name
        self.blocks = plan.blocks_around(name)
        self._out_factors, self._in_factors = plan.outputs.get(name, []), plan.inputs.get(name, [])
        if not layer.kind.resizable(layer.module):
            self._in_factors = []  # such a layer stays whole
        self._own: dict[str, list[Factor]] = {}
        for key, _ in layer.module.named_parameters(recurse=False):
            if factors := plan.groups.get(f"{name}.{key}"):
                self._own[key] = list(factors)
        self._weight_site = plan.weight.get(name)
        self._head_site = plan.heads.get(name)
        if len(layer.inputs) == 1:
            self._in_factors = []  # the one that it reads, and makes, is never taken out
        units = layer.outputs.tolist()
        if len(set(units)) == 1:
            self._out_factors = []
        ends = set() if trace.outputs is None else set(trace.outputs.tolist())
        self._stays = torch.tensor(
            [unit < 0 or unit in trace.fixed or unit in ends or unit in trace.mixed for unit in units]
        )
        self._first_read = torch.arange(len(layer.inputs)) == 0
        self._first_made = layer.outputs == layer.outputs[:1]
        self._same = self._find_same()
        self._sites = list(plan.local.values())
        self._reading = {at: plan.closable[unit] for at, unit in enumerate(units) if unit in plan.closable}
        closable = bool(self._reading)
        self._readers = self._find_readers(units, plan) if closable else None

    def _find_same(self) -> Tensor | None:
        """Output and input features that are one unit, which is there for both or for neither."""
        made, read = self.layer.outputs, self.layer.inputs
        possible = ~self._stays & torch.isin(made, read)
        if not self.layer.kind.folds(self.layer.module) or not bool(possible.any()):
            return None
        rows = torch.nonzero(possible).flatten()
        at, columns = torch.nonzero(made[rows][:, None] == read, as_tuple=True)
        return torch.stack([rows[at], columns])

    def _find_readers(self, units: list[int], plan: GatePlan) -> Tensor:
        """For each unit the gates of its readers, counted through all sites; ends that are never shut."""
        starts, total = {}, 0
        for site in self._sites:
            starts[site] = total
            total += math.prod(plan.specs[site].shape)
        always_shut, never_shut = total, total + 1
        rows = [
            [starts[site] + at for site, at in plan.closable.get(unit, ())] or [never_shut] for unit in units
        ]
        width = max(map(len, rows))
        return torch.tensor([row + [always_shut] * (width - len(row)) for row in rows])

    def sums(self) -> LayerSums | None:
        """What its cost is made of, where that follows from numbers of units; ``None`` where it does not."""
        terms = self.layer.kind.terms(self.layer.module, self.layer.uses)
        single = self._own or self._weight_site is not None or self._head_site is not None
        if terms is None or single or (terms.reads_all and self._in_factors):
            return None
        made = FeatureRow(len(self._stays), self._out_factors, self._first_made, self._stays, self._reading)
        read = FeatureRow(len(self.layer.inputs), self._in_factors, self._first_read)
        return LayerSums(terms, made, read, self._same, self.blocks)

    def presence(self, active: Mapping[str, Tensor], one: Tensor, decided: bool = False) -> Presence:
        """Probabilities that the layer's parts are there, beside the blocks that it stands in.

        Args:
            active: P(z != 0) by gate site.
            one: 1, of the gates' type and on their device.
            decided: Whether these are zeros and ones, so that a layer of which all is shut keeps one unit.
        """
        made, read = self._made(active, one), _product(self._in_factors, len(self.layer.inputs), active, one)
        if decided:
            made, read = _with_first(made, self._first_made), _with_first(read, self._first_read)
        return Presence(
            made=made,
            read=read,
            heads=None if self._head_site is None else active[self._head_site],
            own=self._single(active, one),
            same=self._same,
        )

    def _made(self, active: Mapping[str, Tensor], one: Tensor) -> Tensor:
        """Probability that each output feature is computed."""
        made = _product(self._out_factors, len(self._stays), active, one)
        if self._readers is not None:
            shut = torch.cat(
                [*(1.0 - active[site] for site in self._sites), one.expand(1), one.expand(1) * 0.0]
            )
            made = made * (1.0 - shut[self._readers].prod(1))
        return torch.where(self._stays.to(made.device), torch.ones_like(made), made)

    def _single(self, active: Mapping[str, Tensor], one: Tensor) -> dict[str, Tensor]:
        """Probabilities of the gates on single entries of parameters and on slices of them."""
        own = {
            key: math.prod((factor.of(active) for factor in factors), start=one)
            for key, factors in self._own.items()
        }
        if self._weight_site is not None:
            own["weight"] = active[self._weight_site] * own.get("weight", one)
        return own


def sums_of_heads(heads: TracedHeads, plan: GatePlan) -> list[LayerSums]:
    """What the products of heads outside of layers cost: one entry for heads of each cost.

    Args:
        heads: The heads.
        plan: The network's gates.
    """
    trace, units = plan.trace, heads.units
    ends = set() if trace.outputs is None else set(trace.outputs.tolist())
    stays = torch.tensor([u in trace.fixed or u in trace.mixed or u in ends for u in units.tolist()])
    nothing = FeatureRow(0, [], torch.zeros(0, dtype=torch.bool))
    found = []
    for macs in torch.unique(heads.macs).tolist():
        at = torch.nonzero(heads.macs == macs).flatten()
        factors = [Factor(one.site, one.index[at]) for one in plan.of_heads.get(heads.name, ())]
        readers = {n: plan.closable[u] for n, u in enumerate(units[at].tolist()) if u in plan.closable}
        row = FeatureRow(len(at), factors, units[at] == units[0], stays[at], readers)
        terms = CostTerms((0.0, 0.0, 0.0, 0.0), (0.0, macs, 0.0, 0.0))
        found.append(LayerSums(terms, row, nothing, None, plan.blocks_around(heads.owner)))
    return found


def _product(factors: list[Factor], count: int, active: Mapping[str, Tensor], one: Tensor) -> Tensor:
    total = one.expand(count)
    for factor in factors:
        total = total * factor.of(active)
    return total


def _with_first(there: Tensor, first: Tensor) -> Tensor:
    """Shapes stay valid where all is shut: the first part is there then."""
    return torch.where((there.sum() == 0) & first.to(there.device), torch.ones_like(there), there)
