r"""What a gated network costs: expected under its gate laws, and exactly once gates are decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from l0bayes.network.cost_sums import CostSums
from l0bayes.network.layer_form import LayerForm, sums_of_heads
from l0bayes.network.plan import GatePlan
from l0bayes.network.units import OtherModule

__all__ = ["CostKind", "LayerCost", "NetworkCost"]

CostKind = Literal["params", "macs", "units"]

_EXACT_HESSIAN = 2048  # gates up to which all pairs are counted


@dataclass(frozen=True)
class LayerCost:
    """Cost of one layer, as scalars.

    Attributes:
        params: Parameters.
        macs: Multiply-accumulates an example.
    """

    params: Tensor
    macs: Tensor


class NetworkCost:
    r"""Parameters, multiply-accumulates and units of a gated network, coupled across layers.

    A weight from unit j to unit i is there where both are, so with :math:`p` the probability that a gate is
    open, independent gates, K weights a pair (the kernel) and T output positions,

    .. math::
        E[\text{MACs}_l] = T_l K_l \sum_{i,j} E[a_i b_j], \qquad
        E[\text{params}_l] = K_l \sum_{i,j} E[a_i b_j] + \sum_i E[a_i],

    with a and b the products of the gates of a layer's output and input features; a gate that stands in
    both counts once, :math:`E[z^2] = E[z]`. A unit whose readers all have gates of their own is there if one
    of these is open as well. Where units cannot be taken out of the tensor that holds them (see
    :class:`~l0bayes.network.UnitTrace`), the layer that makes them costs what it did. Layers in gated
    blocks count with the block's probability, attention with its heads'. Gates on single weights reduce
    parameters and not MACs, since a plain implementation multiplies zeros. What runs outside of layers
    (modules of no kind, products in ``forward``) counts as it is, since units that it reads stay.

    The function is *multi-affine* in the probabilities; with zeros and ones in their place it is the exact
    count of the network that is left, but for one thing: a layer of which all is shut keeps one unit, so that
    shapes stay valid. ``decided=True`` counts that too.

    Args:
        net: The network.
        plan: Its gates.
    """

    kinds: tuple[CostKind, ...] = get_args(CostKind)

    def __init__(self, net: nn.Module, plan: GatePlan) -> None:
        self.plan = plan
        self.shapes = {name: spec.shape for name, spec in plan.specs.items()}
        self._forms = {name: LayerForm(layer, plan) for name, layer in plan.trace.layers.items()}
        sums = {name: found for name, form in self._forms.items() if (found := form.sums()) is not None}
        heads = [
            (one.owner, found) for one in plan.trace.heads.values() for found in sums_of_heads(one, plan)
        ]
        self._together = list(sums)
        self._sums = CostSums([*sums.values(), *(found for _, found in heads)], self.shapes)
        self._heads: dict[str, list[int]] = {}
        self._in_heads: dict[str, float] = {}
        for number, (owner, found) in enumerate(heads, len(sums)):
            self._heads.setdefault(owner, []).append(number)
            each = found.terms.macs[1] * found.made.count
            self._in_heads[owner] = self._in_heads.get(owner, 0.0) + each
        self._alone = {name: form for name, form in self._forms.items() if name not in sums}
        self.total_gates = sum(math.prod(shape) for shape in self.shapes.values())
        ones = {site: torch.ones(shape, dtype=torch.float64) for site, shape in self.shapes.items()}
        # Parameters of modules that are not followed: always there.
        self.other = 0.0
        in_layers = sum(float(cost.params) for cost in self.layers(ones).values())
        self.other = sum(p.numel() for p in net.parameters()) - in_layers
        self.dense = {kind: float(value) for kind, value in self.totals(ones).items()}

    # ---- totals ----------------------------------------------------------------------------------

    def totals(self, active: Mapping[str, Tensor], decided: bool = False) -> dict[CostKind, Tensor]:
        """Cost of the network by kind.

        Args:
            active: P(z != 0) by gate site, of the site's shape; or zeros and ones.
            decided: Whether these are zeros and ones, and units that stay for their shape count.

        Returns:
            Scalars, differentiable in ``active``.
        """
        return {kind: self._total(kind, active, decided) for kind in self.kinds}

    def _total(self, kind: str, active: Mapping[str, Tensor], decided: bool) -> Tensor:
        one = _one(active)
        if kind == "units":
            return torch.cat([one.reshape(1) * 0.0, *(active[site].flatten() for site in self.shapes)]).sum()
        column = 0 if kind == "params" else 1
        total = self._sums(active, one, decided)[:, column].sum()
        for form in self._alone.values():
            cost = self._layer(form, active, decided)
            total = total + (cost.params if kind == "params" else cost.macs)
        if kind == "params":
            return total + self.other
        others = [one for one in self.plan.trace.others.values() if one.macs]
        return sum((self._outside_heads(other, active) for other in others), total)

    def share(self, kind: str, active: Mapping[str, Tensor], decided: bool = False) -> Tensor:
        """Cost over that of the dense network; arguments as in :meth:`totals`.

        Raises:
            ValueError: If the kind is unknown.
        """
        if kind not in self.kinds:
            raise ValueError(f"kind must be one of {', '.join(self.kinds)}; got {kind!r}")
        if not self.dense[kind]:
            return torch.ones(())
        return self._total(kind, active, decided) / self.dense[kind]

    def smallest(self, kind: str) -> float:
        """The least share there is: one open gate a site, and blocks closed."""
        active = {}
        for site, shape in self.shapes.items():
            gates = torch.zeros(math.prod(shape), dtype=torch.float64)
            if self.plan.specs[site].placement != "block":
                gates[0] = 1.0
            active[site] = gates.reshape(shape)
        return float(self.share(kind, active))

    def variance(self, kind: CostKind, active: Mapping[str, Tensor]) -> float:
        r"""Variance of the cost when gates open independently.

        By the ANOVA decomposition of a multi-affine function f of independent binary variables, with
        :math:`v = p(1 - p)`,

        .. math::
            \mathrm{Var} = \sum_i (\partial_i f)^2 v_i
                + \tfrac12 \sum_{i,j} (\partial_{ij} f)^2 v_i v_j + \dots

        The terms written are all there are where a weight has at most two gates. For more than 2048
        gates the second sum is estimated by random projections.

        Args:
            kind: What to count.
            active: P(z != 0) by gate site.
        """
        if not self.total_gates:
            return 0.0
        flat = torch.cat([active[site].detach().double().flatten() for site in self.shapes])
        sizes = [math.prod(shape) for shape in self.shapes.values()]

        def cost(values: Tensor) -> Tensor:
            parts = values.split(sizes)
            return self.totals(
                {s: part.reshape(self.shapes[s]) for s, part in zip(self.shapes, parts, strict=True)}
            )[kind]

        gradient = torch.func.grad(cost)
        spread = (flat * (1.0 - flat)).clamp(min=0.0)
        first = (gradient(flat).square() * spread).sum()
        count = len(flat)
        if count <= _EXACT_HESSIAN:
            probes = torch.diag(spread.sqrt())
        else:
            generator = torch.Generator().manual_seed(0)
            signs = torch.randint(0, 2, (32, count), generator=generator) * 2.0 - 1.0
            probes = signs.to(flat) * spread.sqrt() / math.sqrt(len(signs))

        def row(probe: Tensor) -> Tensor:
            curved: Tensor = product(probe)[0]
            return curved.square() @ spread

        # Reverse mode twice, for the second derivatives are symmetric and forward mode is slow to import.
        product = torch.func.vjp(gradient, flat)[1]
        second = 0.5 * torch.vmap(row, chunk_size=64)(probes).sum()
        return float(first + second)

    # ---- layers ----------------------------------------------------------------------------------

    def layers(self, active: Mapping[str, Tensor], decided: bool = False) -> dict[str, LayerCost]:
        """Cost of every layer; arguments as in :meth:`totals`."""
        found = {name: self._layer(form, active, decided) for name, form in self._alone.items()}
        together = self._sums(active, _one(active), decided)
        for name, (params, macs) in zip(self._together, together, strict=False):  # heads come behind
            found[name] = LayerCost(params, macs)
        return {name: found[name] for name in self._forms}

    def other_macs(self, other: OtherModule, active: Mapping[str, Tensor], decided: bool = False) -> Tensor:
        """What a module of no kind runs outside of layers; shut heads and shut blocks run nothing.

        Args:
            other: The module.
            active: As in :meth:`totals`.
            decided: As in :meth:`totals`.
        """
        total = self._outside_heads(other, active)
        if rows := self._heads.get(other.name):
            total = total + self._sums(active, _one(active), decided)[rows, 1].sum()
        return total

    def _outside_heads(self, other: OtherModule, active: Mapping[str, Tensor]) -> Tensor:
        macs = other.macs - self._in_heads.get(other.name, 0.0)
        return macs * self._present(self.plan.blocks_around(other.name), active)

    def _present(self, blocks: list[str], active: Mapping[str, Tensor]) -> Tensor:
        present = _one(active)
        for site in blocks:
            present = present * active[site].squeeze(-1)
        return present

    def _layer(self, form: LayerForm, active: Mapping[str, Tensor], decided: bool) -> LayerCost:
        layer, present = form.layer, self._present(form.blocks, active)
        params, macs = layer.kind.cost(layer.module, layer.uses, form.presence(active, _one(active), decided))
        return LayerCost(present * params, present * macs)


def _one(active: Mapping[str, Tensor]) -> Tensor:
    """1, of the type and on the device of the gates."""
    for values in active.values():
        return values.new_ones(())
    return torch.ones((), dtype=torch.float64)
