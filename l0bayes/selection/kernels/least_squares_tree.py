r"""Least squares fits of all models at once, by eliminating one column after the other in a tree."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["AllFits", "all_fits"]


@dataclass(frozen=True)
class AllFits:
    r"""Every model's fit; model m has group g where bit g of m is set.

    Attributes:
        quadratic: :math:`\tfrac12\,b_C' A_{CC}^{-1} b_C`, half of what the model explains, ``(2**G,)``.
        determinant: :math:`-\tfrac12\log|A_{CC}|`, without columns that repeat others, ``(2**G,)``.
        rank: Number of columns of C that repeat no others, ``(2**G,)``.
    """

    quadratic: Tensor
    determinant: Tensor
    rank: Tensor


def all_fits(matrix: Tensor, vector: Tensor, least: Tensor, members: list[list[int]]) -> AllFits:
    r"""Every model's fit.

    As in :func:`~l0bayes.selection.kernels.elimination.all_evidences`, models that agree on their first
    columns share the work on them. A column whose pivot is next to nothing repeats those before it, and is
    left out. Everything is differentiable: the derivative of ``quadratic`` in b is the fit, and
    :math:`-2` times that of both in A are :math:`\hat\beta\hat\beta'` and :math:`A_{CC}^{-1}`.

    Args:
        matrix: A, shape ``(p, p)``, positive semidefinite.
        vector: b, shape ``(p,)``.
        least: The smallest pivot of each column that is not rounding, shape ``(p,)``.
        members: Columns of every group.
    """
    order = [column for group in reversed(members) for column in group]
    system = torch.cat([matrix, vector[:, None]], 1)[order]
    last = torch.cat([vector[order], vector.new_zeros(1)])
    system = torch.cat([system[:, [*order, len(order)]], last[None]], 0)[None]
    determinant = vector.new_zeros(1)
    rank = torch.zeros(1, dtype=torch.int32)
    for group in reversed(members):
        eliminated, change, found = system, determinant, rank
        for column in group:
            pivot = eliminated[:, 0, 0]
            real = pivot > least[column]
            inverse = torch.where(real, 1.0 / torch.where(real, pivot, 1.0), 0.0)
            row = eliminated[:, 0, 1:]
            eliminated = eliminated[:, 1:, 1:] - row[:, :, None] * (row * inverse[:, None])[:, None, :]
            change = change - 0.5 * torch.log(torch.where(real, pivot, 1.0))
            found = found + real
        m = len(group)
        # Interleaved, so that a group's bit is the lower the later it is eliminated.
        system = torch.stack([system[:, m:, m:], eliminated], 1).flatten(0, 1)
        determinant = torch.stack([determinant, change], 1).flatten()
        rank = torch.stack([rank, found], 1).flatten()
    return AllFits(-0.5 * system[:, 0, 0], determinant, rank)
