r"""Labels of units: which are one, and where they stand in tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from l0bayes.network.units import NONE, UnitTrace

__all__ = ["UnitLabels", "varied_dims"]


class UnitLabels:
    """Labels of units in classes, and a companion tensor of labels for every tensor that holds units.

    Companions are kept as small as they broadcast: a map's label once, not for each of its pixels.

    Args:
        trace: Where is noted what is mixed and fixed.
    """

    def __init__(self, trace: UnitTrace) -> None:
        self.trace = trace
        self.parent: list[int] = []
        # Tensors are kept, so that an id is not given twice.
        self._held: dict[int, tuple[Tensor, Tensor]] = {}
        self._beside: list[tuple[Tensor, int]] = []

    # ---- classes of units ------------------------------------------------------------------------

    def fresh(self, count: int) -> Tensor:
        """Labels of new units."""
        start = len(self.parent)
        self.parent.extend(range(start, start + count))
        return torch.arange(start, start + count)

    def root(self, unit: int) -> int:
        """The label of a unit's class."""
        while self.parent[unit] != unit:
            self.parent[unit] = self.parent[self.parent[unit]]
            unit = self.parent[unit]
        return unit

    def roots(self) -> Tensor:
        """The class of every label; the last entry, for what is no unit, is -1."""
        return torch.tensor([self.root(unit) for unit in range(len(self.parent))] + [NONE])

    def tie(self, one: Tensor, other: Tensor) -> None:
        """Units that stand at the same place in both live and die together."""
        one, other = torch.broadcast_tensors(one, other)
        both = (one >= 0) & (other >= 0) & (one != other)
        count = len(self.parent)
        for pair in torch.unique(one[both] * count + other[both]).tolist():
            first, second = sorted((self.root(pair // count), self.root(pair % count)))
            self.parent[second] = first

    def root_set(self, labels: Tensor) -> frozenset[int]:
        """The classes of some labels."""
        return frozenset(map(self.root, torch.unique(labels).tolist()))

    def unite(self, labels: Iterable[int]) -> None:
        """All these units live and die together."""
        first, *others = sorted(map(self.root, labels))
        for other in others:
            self.parent[self.root(other)] = self.root(first)

    def mix(self, labels: Tensor, by: str) -> None:
        """Other values depend on these units in ways that are not followed."""
        for unit in torch.unique(labels[labels >= 0]).tolist():
            self.trace.mixed.setdefault(unit, by)

    def fix(self, labels: Tensor) -> None:
        """These units cannot be taken out of the tensor that holds them."""
        self.trace.fixed.update(torch.unique(labels[labels >= 0]).tolist())

    def fix_beside(self, x: Tensor, labels: Tensor) -> None:
        """Fix units beside which a tensor of full size has values of their own.

        It has none where they turn out to be one unit, as all of a head, whose width stays.

        Args:
            x: What is no unit.
            labels: Labels of what it meets, which are broadcast with it.
        """
        dims = range(1, min(x.dim(), labels.dim()) + 1)
        self._beside += [(labels, -dim) for dim in dims if x.shape[-dim] > 1 and labels.shape[-dim] > 1]

    def settle(self) -> None:
        """Fix what has to be, once it is known which units are one."""
        roots = self.roots()
        for labels, dim in self._beside:
            if bool((roots[labels] != roots[labels.narrow(dim, 0, 1)]).any()):
                self.fix(labels)
        self._beside.clear()

    # ---- labels of tensors -----------------------------------------------------------------------

    def knows(self, x: Any) -> bool:
        """Whether a tensor has labels."""
        return id(x) in self._held

    def compact(self, x: Any) -> Tensor | None:
        """The labels of a tensor, of a shape of as many dimensions that broadcasts to its own."""
        found = self._held.get(id(x)) if isinstance(x, Tensor) else None
        return None if found is None else found[1]

    def get(self, x: Any) -> Tensor | None:
        """The labels of a tensor, of its shape."""
        found = self.compact(x)
        return None if found is None else found.expand(x.shape)

    def put(self, x: Tensor, labels: Tensor) -> None:
        """Give a tensor labels that broadcast to it."""
        labels = labels.reshape((1,) * (x.dim() - labels.dim()) + tuple(labels.shape))
        for dim in range(labels.dim()):
            if labels.shape[dim] > 1 and labels.stride(dim) == 0:
                labels = labels.narrow(dim, 0, 1)
        for dim in reversed(range(labels.dim())):
            first = labels.narrow(dim, 0, min(1, labels.shape[dim]))
            if labels.shape[dim] > 1 and bool((labels == first).all()):
                labels = first
        self._held[id(x)] = (x, labels)

    def vector(self, x: Tensor, dim: int, by: str) -> Tensor:
        """The labels along one dimension; where they vary along others too, units are mixed."""
        labels, size = self.compact(x), x.shape[dim]
        if labels is None:
            return torch.full((size,), NONE)
        rows = labels.movedim(dim, -1).reshape(-1, labels.shape[dim])
        if bool((rows == rows[0]).all()):
            return rows[0].expand(size).clone()
        self.mix(labels, by)
        return torch.full((size,), NONE)


def varied_dims(labels: Tensor) -> list[int]:
    """Dimensions along which labels differ.

    Args:
        labels: Any labels.
    """
    return [
        dim
        for dim in range(labels.dim())
        if labels.shape[dim] > 1 and bool((labels != labels.narrow(dim, 0, 1)).any())
    ]
