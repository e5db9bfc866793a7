r"""Attention whose queries, keys and values are layers of their own: products that are done head by head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from l0bayes.network.unit_labels import UnitLabels
from l0bayes.network.units import HeadProduct

__all__ = ["follow_product", "follow_softmax", "unite_rows"]

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
    # Keys and values that all heads share stay whatever happens to one of these.
    whole = [parts for parts in sets if len(set(_classes(parts))) < 2]
    own = [parts for parts in sets if parts not in whole]
    together = [frozenset[int]().union(*parts) for parts in zip(*own, strict=True)]
    if len(set(_classes(together))) < 2:  # a single head: nothing would be left
        return None
    if whole:
        shared = [labels for labels, parts in zip(known, sets, strict=True) if parts in whole]
        for labels in shared:
            units.fix(labels)
    for members in together:
        units.unite(members)
    labels = torch.tensor([units.root(min(members)) for members in together]).reshape(stack)
    if any(x.dim() > 2 and x.shape[-3] > 1 for x in more):  # a mask for each head is of full size
        units.fix(labels)
    units.put(result, labels[..., None, None])
    counts = frozenset(len(set(parts)) for parts in own)
    width = max(counts) * factors[0].shape[-1]
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


def unite_rows(
    units: UnitLabels, x: Tensor, out: Tensor, dims: Sequence[int] = (-1,), keep: bool = True
) -> bool:
    """Label what is computed of each row of a tensor by itself, where rows have units of their own.

    So it is of a norm over the features of a head, of the same parameters for all: the units of a row live
    and die together.

    Args:
        units: The labels.
        x: What it reads.
        out: What it returns.
        dims: The dimensions of a row.
        keep: Whether these are dimensions of the result too.

    Returns:
        Whether rows have units of their own; else nothing was done.
    """
    labels = units.compact(x)
    if labels is None or bool((labels < 0).any()):
        return False
    inside = sorted(dim % labels.dim() for dim in dims)
    outside = [dim for dim in range(labels.dim()) if dim not in inside]
    stack = [labels.shape[dim] for dim in outside]
    rows = labels.permute(*outside, *inside).reshape(*stack, -1)
    sets = [units.root_set(row) for row in rows.reshape(-1, rows.shape[-1])]
    if len(sets) < 2 or len(set(_classes(sets))) < len(set(sets)) or len(set(sets)) < 2:
        return False
    for members in sets:
        units.unite(members)
    found = torch.tensor([units.root(min(members)) for members in sets]).reshape(stack)
    for dim in inside if keep else ():
        found = found.unsqueeze(dim)
    units.put(out, found)
    return True
