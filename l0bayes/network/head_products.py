r"""Attention whose queries, keys and values are layers of their own: products that are done head by head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from l0bayes.network.unit_labels import UnitLabels
from l0bayes.network.units import HeadProduct

__all__ = ["follow_product", "follow_softmax"]

_FUSED = "_scaled_dot_product"


def follow_product(units: UnitLabels, name: str, tensors: list[Tensor], out: Any) -> HeadProduct | None:
    r"""Label what a product of stacks of matrices returns, where each entry of the stack has its own units.

    In :math:`\mathrm{softmax}(Q_h K_h^\top) V_h` head h of the result depends on that head's queries, keys
    and values alone: they live and die together, and become one class of units. Heads of queries that share
    keys and values are one class too.

    Args:
        units: The labels.
        name: The operation.
        tensors: The tensors that it reads.
        out: What it returns.

    Returns:
        The product; ``None`` where it is of another form.
    """
    fused = name.startswith(_FUSED)
    if not (fused or name == "bmm"):
        return None
    factors, more = tensors[: 3 if fused else 2], tensors[3:]
    result = out[0] if isinstance(out, tuple) else out
    found = [units.compact(x) for x in factors]
    known = [labels for labels in found if labels is not None]
    if len(known) < len(factors) or any(bool((labels < 0).any()) for labels in known):
        return None
    if any(x.dim() != result.dim() for x in factors):
        return None
    known = [_for_all_heads(labels, factors[0]) for labels in known]
    stack = torch.broadcast_shapes(*(labels.shape[:-2] for labels in known))
    sets = [
        [units.root_set(row) for row in labels.expand(*stack, *labels.shape[-2:]).reshape(-1, _size(labels))]
        for labels in known
    ]
    together = [frozenset[int]().union(*parts) for parts in zip(*sets, strict=True)]
    if len(set(_classes(together))) < 2:  # a single head: nothing would be left
        return None
    for members in together:
        units.unite(members)
    labels = torch.tensor([units.root(min(members)) for members in together]).reshape(stack)
    if any(x.dim() > 2 and x.shape[-3] > 1 for x in more):  # a mask for each head is of full size
        units.fix(labels)
    units.put(result, labels[..., None, None])
    counts = frozenset(len(set(parts)) for parts in sets)
    width = max(len(set(parts)) for parts in sets) * factors[0].shape[-1]
    return HeadProduct(labels.flatten(), counts, width)


def _for_all_heads(labels: Tensor, query: Tensor) -> Tensor:
    """Labels of keys or values that several heads of queries share, once for each of these."""
    heads = labels.shape[-3]
    if 1 < heads < query.shape[-3] and query.shape[-3] % heads == 0:
        return labels.repeat_interleave(query.shape[-3] // heads, -3)
    return labels


def _size(labels: Tensor) -> int:
    return labels.shape[-2] * labels.shape[-1]


def _classes(sets: list[frozenset[int]]) -> list[int]:
    """Numbers of sets, the same for those that hang together by common members."""
    owner: dict[int, int] = {}
    parent = list(range(len(sets)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for number, members in enumerate(sets):
        for member in members:
            parent[root(number)] = root(owner.setdefault(member, number))
    return [root(number) for number in range(len(sets))]


def follow_softmax(units: UnitLabels, x: Tensor, dim: int, out: Tensor) -> bool:
    """Label a softmax over something else than units.

    Args:
        units: The labels.
        x: What it reads.
        dim: Along which dimension.
        out: What it returns.

    Returns:
        Whether it is one.
    """
    labels = units.compact(x)
    if labels is None or labels.shape[dim] > 1:  # labels are kept no wider than they vary
        return False
    units.put(out, labels)
    return True
