r"""Elimination of columns from many Gaussian systems at once, and moments on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["EliminationStep", "Moments", "Systems", "eliminate", "regrow"]


@dataclass(frozen=True)
class Systems:
    r"""Systems of one set of columns, for many models that differ in the columns eliminated before.

    The last axis counts the systems, so that everything is done for all of them in one go.

    Attributes:
        matrix: :math:`\begin{pmatrix} A & -b \\ -b' & -2q \end{pmatrix}` with q, half of what the columns
            that were eliminated explain, shape ``(r + 1, r + 1, B)``.
        determinant: :math:`-\tfrac12\log|A_{CC}|` of those columns, shape ``(B,)``.
        rank: Number of those columns that repeat no others, shape ``(B,)``; ``None`` where none can.
    """

    matrix: Tensor
    determinant: Tensor
    rank: Tensor | None = None

    def __getitem__(self, index: slice) -> Systems:
        rank = None if self.rank is None else self.rank[index]
        return Systems(self.matrix[..., index], self.determinant[index], rank)


@dataclass(frozen=True)
class EliminationStep:
    r"""What the columns of a gate left behind when they were eliminated.

    Attributes:
        rows: Of each column its row over minus its pivot, shapes ``(r, B)``, ``(r - 1, B)``, ...
        inverses: One over its pivot, shape ``(B,)``; 0 where it repeats the columns before.
    """

    rows: list[Tensor]
    inverses: list[Tensor]


@dataclass(frozen=True)
class Moments:
    r"""Sums over models of the moments of their coefficients :math:`\beta_r` beside a 1.

    Attributes:
        outer: :math:`\sum_\gamma w_\gamma (m, 1)(m, 1)' + d_\gamma (A_{CC})^{-1}`, shape
            ``(r + 1, r + 1, B)``.
        inverse: :math:`\sum_\gamma d_\gamma`, shape ``(B,)``; ``None`` where d is w.
        mean: :math:`\sum_\gamma v_\gamma (m, 1)`, shape ``(r + 1, B)``; ``None`` where v is w.
    """

    outer: Tensor
    inverse: Tensor | None = None
    mean: Tensor | None = None


def eliminate(
    systems: Systems, columns: Sequence[int], least: Sequence[float]
) -> tuple[Systems, EliminationStep]:
    """Every system twice: as it is without the first columns, and with these eliminated.

    Args:
        systems: B systems whose first columns are those of a gate.
        columns: Numbers of these columns.
        least: The smallest pivot of every column. Where columns may repeat others, one with a smaller pivot
            does and is left out; elsewhere a smaller one is rounding.

    Returns:
        2B systems, those with the columns eliminated last, and what is needed on the way back.
    """
    matrix, determinant, rank = systems.matrix, systems.determinant, systems.rank
    size, count, width = matrix.shape[0] - len(columns), matrix.shape[2], len(columns)
    both = matrix.new_empty(size, size, 2 * count)
    both[..., :count].copy_(matrix[width:, width:])
    determinants = matrix.new_empty(2 * count)
    determinants[:count].copy_(determinant)
    rows: list[Tensor] = []
    inverses: list[Tensor] = []
    for number, column in enumerate(columns, start=1):
        pivot = matrix[0, 0]
        if rank is None:
            inverse = pivot.clamp(min=least[column]).reciprocal_()
            logs = inverse.log()
        else:
            real = pivot > least[column]
            whole = torch.where(real, pivot, 1.0).reciprocal_()
            inverse, logs, rank = whole * real, whole.log(), rank + real
        row = matrix[0, 1:]
        scaled = torch.mul(row, inverse).neg_()
        last = number == width
        matrix = torch.addcmul(
            matrix[1:, 1:], row[:, None], scaled[None], out=both[..., count:] if last else None
        )
        out = determinants[count:] if last else None
        determinant = torch.add(determinant, logs, alpha=0.5, out=out)
        rows.append(scaled)
        inverses.append(inverse)
    if systems.rank is not None and rank is not None:
        rank = torch.cat([systems.rank, rank])
    return Systems(both, determinants, rank), EliminationStep(rows, inverses)


def regrow(moments: Moments, step: EliminationStep) -> Moments:
    r"""Moments before an elimination from those after it.

    Given the columns that are left, one that was eliminated is Normal with the mean
    :math:`(b_j - a_j'\beta)/\text{pivot}` and the variance :math:`d/\text{pivot}`; where its gate is shut it
    is 0.

    Args:
        moments: Of 2B systems, as :func:`eliminate` orders them.
        step: What it left behind.
    """
    count, width = len(step.inverses[0]), len(step.rows)
    without, outer = moments.outer[..., :count], moments.outer[..., count:]
    mean = None if moments.mean is None else moments.mean[:, count:]
    inverse = outer[-1, -1] if moments.inverse is None else moments.inverse[count:]
    for row, variance in zip(reversed(step.rows), reversed(step.inverses), strict=True):
        grown = outer.new_empty(len(row) + 1, len(row) + 1, count)
        if width == 1:
            torch.add(without, outer, out=grown[1:, 1:])
        else:
            grown[1:, 1:].copy_(outer)
        cross = torch.sum(outer * row[None], 1, out=grown[0, 1:])
        grown[1:, 0].copy_(cross)
        torch.addcmul((cross * row).sum(0), inverse, variance, out=grown[0, 0])
        if mean is not None:
            mean = torch.cat([(row * mean).sum(0, keepdim=True), mean])
        outer = grown
    if width > 1:
        outer[width:, width:] += without
    if mean is not None and moments.mean is not None:
        mean[width:] += moments.mean[:, :count]
    total = None if moments.inverse is None else moments.inverse[:count] + inverse
    return Moments(outer, total, mean)
