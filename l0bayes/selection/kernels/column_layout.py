r"""Columns in the order in which chains keep them: those of a gate side by side, gates of equal width."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.problem.gaussian_problem import GaussianProblem

__all__ = ["ColumnLayout", "column_layout"]


@dataclass(frozen=True)
class ColumnLayout:
    """Second moments of the columns in this order.

    The unpenalised columns come first. Gates with fewer columns than the widest one are filled up with
    columns of zeros, which change nothing.

    Attributes:
        fixed: Number of unpenalised columns k.
        groups: Number of gates G.
        width: Number of columns of every gate w, zeros among them.
        order: For every column here its number in the problem, zeros numbered after all others, shape
            ``(N,)`` with N = k + G w.
        moments: Weighted second moments, shape ``(N, N)``.
        vector: Weighted products with the response, shape ``(N,)``.
    """

    fixed: int
    groups: int
    width: int
    order: Tensor
    moments: Tensor
    vector: Tensor

    @property
    def place(self) -> Tensor:
        """Place in this order of every column of the problem and of the zeros, shape ``(N,)``."""
        place = torch.empty_like(self.order)
        place[self.order] = torch.arange(len(self.order))
        return place


def column_layout(problem: GaussianProblem) -> ColumnLayout:
    """The layout of a problem's columns, computed once and kept with the problem.

    Args:
        problem: The problem.
    """
    return problem.kept(_arrange)


def _arrange(problem: GaussianProblem) -> ColumnLayout:
    members, fixed = problem.group_columns, problem.num_unpenalised
    width = max(len(group) for group in members)
    pads = len(members) * width - problem.num_columns
    numbers, spare = [*range(fixed)], fixed + problem.num_columns
    for group in members:
        numbers += [fixed + column for column in group]
        numbers += range(spare, spare := spare + width - len(group))
    order = torch.tensor(numbers)
    moments, vector = problem.gram.matrix, problem.gram.vector
    if pads:
        moments = torch.nn.functional.pad(moments, (0, pads, 0, pads))
        vector = torch.nn.functional.pad(vector, (0, pads))
    if not torch.equal(order, torch.arange(len(order))):  # a copy of the largest tensor of all
        moments, vector = moments[order][:, order].contiguous(), vector[order]
    return ColumnLayout(fixed, len(members), width, order, moments, vector)
