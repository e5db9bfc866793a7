r"""Probabilities that features are there, summed over the features of many layers at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from l0bayes.network.plan import Factor

__all__ = ["FeatureRow", "FeatureSums"]

_Shape = tuple[int, int, int]


@dataclass(frozen=True)
class FeatureRow:
    """The output features of a layer, or its input features.

    Attributes:
        count: How many there are.
        factors: The gates that each is there with: with all of them.
        stays: Whether each is there whatever its gates, or ``None`` for none.
        first: The features that are kept, in a decided network, where all are shut.
        readers: For a feature whose every reader has gates of its own: those (site, gate), one of which
            is open where it is there.
    """

    count: int
    factors: Sequence[Factor]
    first: Tensor
    stays: Tensor | None = None
    readers: Mapping[int, Sequence[tuple[str, int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Gates:
    """What features depend on: one gate of each index, and one of the readers' that is open."""

    index: list[Tensor]
    readers: Tensor
    first: Tensor


def _stacked(rows: list[_Gates]) -> _Gates:
    columns = zip(*(row.index for row in rows), strict=True)
    return _Gates(
        [torch.stack(column) for column in columns],
        torch.stack([row.readers for row in rows]),
        torch.stack([row.first for row in rows]),
    )


class FeatureSums:
    """Sums of products of gates.

    Args:
        rows: What is summed.
        more: Sites of further gates that :meth:`gates` is to hold.
        shapes: Shapes of gates by site.
    """

    def __init__(
        self, rows: Sequence[FeatureRow], more: Iterable[str], shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        sites = dict.fromkeys(more)
        for row in rows:
            sites.update(dict.fromkeys(factor.site for factor in row.factors))
            sites.update(dict.fromkeys(site for found in row.readers.values() for site, _ in found))
        self._starts: dict[str, int] = {}
        total = 0
        for site in sites:
            self._starts[site] = total
            total += math.prod(shapes[site])
        self._always, self._never = total, total + 1
        self._counts = [row.count for row in rows]
        self._changing: list[Tensor] = []
        # Rows of one shape are stacked; those that are alike, such as what one layer makes and the next one
        # reads, are summed once.
        stacks: dict[_Shape, list[_Gates]] = {}
        seen: dict[tuple[Any, ...], tuple[_Shape, int]] = {}
        where: list[tuple[_Shape, int] | None] = []
        for row in rows:
            one, changing = self._gates_of_row(row)
            self._changing.append(changing)
            if not len(changing):
                where.append(None)
                continue
            shape = (len(changing), len(one.index), one.readers.shape[1])
            key = (shape, *(x.numpy().tobytes() for x in (*one.index, one.readers, one.first)))
            if key not in seen:
                stack = stacks.setdefault(shape, [])
                seen[key] = (shape, len(stack))
                stack.append(one)
            where.append(seen[key])
        self._stacked = [_stacked(stack) for stack in stacks.values()]
        rows_before, features_before, count, size = {}, {}, 0, 0
        for shape, stack in stacks.items():
            rows_before[shape], features_before[shape] = count, size
            count, size = count + len(stack), size + len(stack) * shape[0]
        row_of = [count if at is None else rows_before[at[0]] + at[1] for at in where]
        self._row = torch.tensor(row_of, dtype=torch.long)
        self._begin = [0 if at is None else features_before[at[0]] + at[1] * at[0][0] for at in where]
        self._size = size
        rest = [row.count - len(changing) for row, changing in zip(rows, self._changing, strict=True)]
        self._rest = torch.tensor(rest, dtype=torch.float64)

    def _gates_of_row(self, row: FeatureRow) -> tuple[_Gates, Tensor]:
        """What the features that have gates depend on, and which features these are."""
        columns = []
        for factor in row.factors:
            start = self._starts[factor.site]
            columns.append(torch.where(factor.index >= 0, factor.index + start, self._always))
        has = torch.zeros(row.count, dtype=torch.bool)
        for column in columns:
            has |= column != self._always
        for feature in row.readers:
            has[feature] = True
        if row.stays is not None:
            has &= ~row.stays
        changing = torch.nonzero(has).flatten()
        width = max((len(found) for found in row.readers.values()), default=0)
        # Never open beside other readers; always open where there are none to ask.
        readers = torch.full((row.count, width), self._never)
        if width:
            readers[:, 0] = self._always
        for feature, read in row.readers.items():
            readers[feature, : len(read)] = torch.tensor([self._starts[s] + at for s, at in read])
        index = [column[changing] for column in columns]
        index = [one for one in index if bool((one != self._always).any())]
        # Where something is there, whatever is shut, nothing has to be kept.
        first = row.first[changing] if len(changing) == row.count else torch.zeros(len(changing)).bool()
        return _Gates(index, readers[changing], first), changing

    def gates(self, active: Mapping[str, Tensor], one: Tensor) -> Tensor:
        """All gates in a row, with 1 and 0 behind them.

        Args:
            active: P(z != 0) by gate site.
            one: 1, of the gates' type and on their device.
        """
        values = [active[site].flatten() for site in self._starts]
        return torch.cat([*values, one.reshape(1), one.reshape(1) * 0.0])

    def gates_of(self, sites: Iterable[Sequence[str]]) -> Tensor:
        """Where the first gates of sites stand in :meth:`gates`; that of 1 where no site is given.

        Args:
            sites: One site or none an entry.
        """
        return torch.tensor([self._starts[one[0]] if one else self._always for one in sites])

    def places(self, row: int, features: Tensor) -> Tensor:
        """Where features of a row stand among all; the last place, of 1, is of those that have no gates.

        Args:
            row: The row's number.
            features: Numbers of features in it, ``torch.long``.
        """
        changing = self._changing[row]
        at = torch.full((self._counts[row],), self._size)
        at[changing] = self._begin[row] + torch.arange(len(changing))
        return at[features]

    def __call__(self, gates: Tensor, decided: bool = False) -> tuple[Tensor, Tensor]:
        """Sums of the rows, of shape ``(rows,)``, and all features that have gates, with 1 behind them.

        Args:
            gates: What :meth:`gates` returned.
            decided: Whether these are zeros and ones, so that the first features of a row stay where all
                are shut.
        """
        sums, features = [], []
        for one in self._stacked:
            there = gates[one.index[0]] if one.index else gates.new_ones(one.first.shape)
            for column in one.index[1:]:
                there = there * gates[column]
            if one.readers.shape[-1]:
                there = there * (1.0 - (1.0 - gates[one.readers]).prod(-1))
            if decided:
                kept = (there.sum(-1, keepdim=True) == 0) & one.first.to(there.device)
                there = torch.where(kept, torch.ones_like(there), there)
            sums.append(there.sum(-1))
            features.append(there.flatten())
        sums.append(gates.new_zeros(1))
        features.append(gates.new_ones(1))
        return torch.cat(sums)[self._row] + self._rest.to(gates.dtype).to(gates.device), torch.cat(features)
