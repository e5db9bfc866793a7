r"""Which columns chains work on: those that matter always, all others by chance."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["WorkingSet", "choose_working_set"]

# Least inclusion probability, as passes find it, with which a column is always in the set.
_LEAST = 1e-3
# Chances beyond this are no chances: such a column is always in.
_SURE = 0.5


class WorkingSet:
    r"""Anchors, which are always in, and for every other column the chance :math:`a_j > 0` of being drawn.

    Args:
        chance: :math:`a_j` of every column, 1 for anchors, shape ``(p,)``.

    Attributes:
        chance: As given.
        anchors: Numbers of the anchors, shape ``(A,)``.
    """

    def __init__(self, chance: Tensor) -> None:
        self.chance = chance
        self.anchors = (chance >= 1.0).nonzero()[:, 0]

    @property
    def is_all(self) -> bool:
        """Whether every column is always in."""
        return len(self.anchors) == len(self.chance)

    @property
    def expected_size(self) -> float:
        """Expected number of columns of a draw."""
        return float(self.chance.sum())

    def draw(self) -> Tensor:
        """Columns beside the anchors, each drawn with its chance, in order."""
        drawn = torch.rand(len(self.chance), dtype=torch.float32) < self.chance.to(torch.float32)
        drawn[self.anchors] = False
        return drawn.nonzero()[:, 0]


def choose_working_set(score: Tensor, most: int, others: int) -> WorkingSet:
    r"""Anchors by score, and chances of the others.

    Half of the chance is even, so that every column keeps one, and half is in proportion to the score, so
    that no odds become large when they are divided by the chance.

    Args:
        score: Inclusion probability of every column as far as it is known, shape ``(p,)``.
        most: Largest number of anchors.
        others: Expected number of other columns in the set.
    """
    count = len(score)
    chance = torch.ones(count, dtype=torch.float64)
    if count <= others or count <= min(most, 2 * others):
        return WorkingSet(chance)
    order = torch.argsort(score, descending=True)
    anchors = order[: min(most, max(1, int((score > _LEAST).sum())))]
    outside = torch.ones(count, dtype=torch.bool)
    outside[anchors] = False
    left = int(outside.sum())
    if left <= others:
        return WorkingSet(chance)
    mass = score[outside]
    share = 0.5 / left + 0.5 * mass / mass.sum().clamp(min=1e-300)
    drawn = others * share
    chance[outside] = torch.where(drawn > _SURE, 1.0, drawn)
    return WorkingSet(chance)
