r"""What a gated network costs: expected under its gate laws, and exactly once gates are decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from l0bayes.network.attention import HeadAttention
from l0bayes.network.plan import Factor, GatePlan
from l0bayes.network.units import TracedLayer, is_depthwise

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
    parameters and not MACs, since a plain implementation multiplies zeros.

    The function is *multi-affine* in the probabilities; with zeros and ones in their place it is the exact
    count of the network that is left.

    Args:
        net: The network.
        plan: Its gates.
    """

    kinds: tuple[CostKind, ...] = get_args(CostKind)

    def __init__(self, net: nn.Module, plan: GatePlan) -> None:
        self.plan = plan
        self.shapes = {name: spec.shape for name, spec in plan.specs.items()}
        self._forms = {name: _Form(layer, plan) for name, layer in plan.trace.layers.items()}
        self.total_gates = sum(math.prod(shape) for shape in self.shapes.values())
        ones = {site: torch.ones(shape, dtype=torch.float64) for site, shape in self.shapes.items()}
        # Parameters of modules that are not followed: always there.
        self.other = 0.0
        in_layers = sum(float(cost.params) for cost in self.layers(ones).values())
        self.other = sum(p.numel() for p in net.parameters()) - in_layers
        self.dense = {kind: float(value) for kind, value in self.totals(ones).items()}

    # ---- totals ----------------------------------------------------------------------------------

    def totals(self, active: Mapping[str, Tensor]) -> dict[CostKind, Tensor]:
        """Cost of the network by kind.

        Args:
            active: P(z != 0) by gate site, of the site's shape; or zeros and ones.

        Returns:
            Scalars, differentiable in ``active``.
        """
        costs = self.layers(active).values()
        zero = _one(active) * 0.0
        return {
            "params": sum((cost.params for cost in costs), zero) + self.other,
            "macs": sum((cost.macs for cost in costs), zero),
            "units": sum((active[site].sum() for site in self.shapes), zero),
        }

    def share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        """Cost over that of the dense network; arguments as in :meth:`totals`.

        Raises:
            ValueError: If the kind is unknown.
        """
        if kind not in self.kinds:
            raise ValueError(f"kind must be one of {', '.join(self.kinds)}; got {kind!r}")
        if not self.dense[kind]:
            return torch.ones(())
        return self.totals(active)[kind] / self.dense[kind]

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

    def layers(self, active: Mapping[str, Tensor]) -> dict[str, LayerCost]:
        """Cost of every layer; argument as in :meth:`totals`."""
        return {name: self._layer(form, active) for name, form in self._forms.items()}

    def _layer(self, form: _Form, active: Mapping[str, Tensor]) -> LayerCost:
        one = _one(active)
        present = one
        for site in form.blocks:
            present = present * active[site].squeeze(-1)
        module, made = form.layer.module, form.made(active, one)
        nothing = one * 0.0
        if isinstance(module, HeadAttention):
            return self._attention(form.layer, module, active, present)
        if isinstance(module, nn.LayerNorm | nn.modules.batchnorm._BatchNorm):
            each = sum(p.numel() for p in module.parameters()) / len(form.layer.outputs)
            return LayerCost(present * each * made.sum(), nothing)
        if isinstance(module, nn.Embedding):
            own = form.single(active)
            params = module.num_embeddings * made.sum() if own is None else (own * made).sum()
            return LayerCost(present * params, nothing)
        weight: Tensor = module.weight  # type: ignore[assignment]
        kernel = math.prod(weight.shape[2:])
        if is_depthwise(module):
            pairs, read = made.sum(), one.expand(1)
        else:
            read = form.read(active, one)
            pairs = (made.reshape(form.groups, -1).sum(1) * read.reshape(form.groups, -1).sum(1)).sum()
            pairs = pairs + form.shared(made, read)
        own = form.single(active)
        if own is None:
            params = kernel * pairs
        else:
            own = (
                own.expand(weight.shape).flatten(2).sum(-1) if weight.dim() > 2 else own.expand(weight.shape)
            )
            split = own.unflatten(0, (1 if is_depthwise(module) else form.groups, -1))
            params = (split * made.reshape(len(split), -1, 1) * read.reshape(len(split), 1, -1)).sum()
            params = params + form.shared(made, read, own)
        bias = (made * form.bias(active)).sum() if module.bias is not None else nothing
        return LayerCost(present * (params + bias), present * form.layer.positions * kernel * pairs)

    def _attention(
        self, layer: TracedLayer, module: HeadAttention, active: Mapping[str, Tensor], present: Tensor
    ) -> LayerCost:
        site = self.plan.heads.get(layer.name)
        heads = active[site].sum() if site is not None else present.new_tensor(module.num_heads)
        projections = 4 * module.embed_dim * module.head_dim
        bias = 0 if module.in_proj_bias is None else 3 * module.head_dim
        last = 0 if module.out_proj.bias is None else module.embed_dim
        scores = 2 * module.head_dim * layer.lengths
        return LayerCost(
            present * (heads * (projections + bias) + last),
            present * heads * (projections * (layer.positions + layer.keys) / 2 + scores),
        )


class _Form:
    """What the cost of one layer depends on, worked out once."""

    def __init__(self, layer: TracedLayer, plan: GatePlan) -> None:
        trace, self.layer = plan.trace, layer
        self.blocks = plan.blocks_around(layer.name)
        self.groups = getattr(layer.module, "groups", 1)
        self.out_factors, self.in_factors = plan.outputs.get(layer.name, []), plan.inputs.get(layer.name, [])
        if self.groups > 1:
            self.in_factors = []  # such a convolution stays whole
        self.single_factors = list(plan.groups.get(f"{layer.name}.weight", []))
        self.bias_factors = list(plan.groups.get(f"{layer.name}.bias", []))
        self.weight_site = plan.weight.get(layer.name)
        units = layer.outputs.tolist()
        ends = set() if trace.outputs is None else set(trace.outputs.tolist())
        stays = [unit < 0 or unit in trace.fixed or unit in ends or unit in trace.mixed for unit in units]
        self.stays = torch.tensor(stays)
        self.same = self._same()
        self.sites = list(plan.local.values())
        self.readers = self._readers(units, plan) if any(unit in plan.closable for unit in units) else None

    def _same(self) -> Tensor | None:
        """Output and input features that are one unit, which is there for both or for neither."""
        made, read = self.layer.outputs, self.layer.inputs
        possible = ~self.stays & torch.isin(made, read)
        if self.groups > 1 or not bool(possible.any()):
            return None
        rows = torch.nonzero(possible).flatten()
        at, columns = torch.nonzero(made[rows][:, None] == read, as_tuple=True)
        return torch.stack([rows[at], columns])

    def _readers(self, units: list[int], plan: GatePlan) -> Tensor:
        """For each unit the gates of its readers, counted through all sites; ends that are never shut."""
        starts, total = {}, 0
        for site in self.sites:
            starts[site] = total
            total += math.prod(plan.specs[site].shape)
        always_shut, never_shut = total, total + 1
        rows = [
            [starts[site] + at for site, at in plan.closable.get(unit, ())] or [never_shut] for unit in units
        ]
        width = max(map(len, rows))
        return torch.tensor([row + [always_shut] * (width - len(row)) for row in rows])

    def made(self, active: Mapping[str, Tensor], one: Tensor) -> Tensor:
        """Probability that each output feature is computed."""
        made = _product(self.out_factors, len(self.stays), active, one)
        if self.readers is not None:
            shut = torch.cat(
                [*(1.0 - active[site] for site in self.sites), one.expand(1), one.expand(1) * 0.0]
            )
            made = made * (1.0 - shut[self.readers].prod(1))
        return torch.where(self.stays.to(made.device), torch.ones_like(made), made)

    def read(self, active: Mapping[str, Tensor], one: Tensor) -> Tensor:
        """Probability that each input feature is read."""
        return _product(self.in_factors, len(self.layer.inputs), active, one)

    def single(self, active: Mapping[str, Tensor]) -> Tensor | None:
        """Probabilities of the gates on single weights and on slices of them."""
        if self.weight_site is None and not self.single_factors:
            return None
        own = [] if self.weight_site is None else [active[self.weight_site]]
        return math.prod([*own, *(factor.of(active) for factor in self.single_factors)], start=_one(active))

    def bias(self, active: Mapping[str, Tensor]) -> Tensor:
        """Probability that each bias is there, beside its unit."""
        return math.prod((factor.of(active) for factor in self.bias_factors), start=_one(active))

    def shared(self, made: Tensor, read: Tensor, own: Tensor | None = None) -> Tensor:
        """What pairs of features that are one unit add to the product of their probabilities.

        A unit that is read is there: the pair's probability is that of reading it.
        """
        if self.same is None:
            return made.new_zeros(())
        rows, columns = self.same.to(made.device)
        extra = read[columns] * (1.0 - made[rows])
        return (extra if own is None else extra * own[rows, columns]).sum()


def _one(active: Mapping[str, Tensor]) -> Tensor:
    """1, of the type and on the device of the gates."""
    for values in active.values():
        return values.new_ones(())
    return torch.ones((), dtype=torch.float64)


def _product(factors: list[Factor], count: int, active: Mapping[str, Tensor], one: Tensor) -> Tensor:
    total = one.expand(count)
    for factor in factors:
        total = total * factor.of(active)
    return total
