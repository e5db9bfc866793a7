r"""Evidence of all models at once, by eliminating one column after the other in a tree."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["all_evidences", "all_models"]


def all_evidences(
    matrix: Tensor, vector: Tensor, log_slab: Tensor, members: list[list[int]]
) -> tuple[Tensor, Tensor]:
    r"""Quadratic form and determinant of every model of a Gaussian system.

    For a model with the columns C, of :math:`2^G`,

    .. math:: \tfrac12\,b_C' A_{CC}^{-1} b_C \qquad\text{and}\qquad
        \sum_{j \in C} \tfrac12\log\tau_j - \tfrac12 \log|A_{CC}|

    whose sum is the log evidence over that of the empty model. Two models that agree on their first
    columns share the work on them: at each group the system of the remaining columns is kept once as it is,
    and once with the group's columns eliminated, so that a model costs a few operations instead of a
    Cholesky factorisation of its own. Everything is differentiable; the derivative of the sum over models
    weighted by their probabilities is the posterior mean in b, and :math:`-\tfrac12 E[\beta\beta']` in A.

    Args:
        matrix: A, shape ``(p, p)``, positive definite.
        vector: b, shape ``(p,)``.
        log_slab: :math:`\tfrac12\log\tau`, shape ``(p,)``.
        members: Columns of every group.

    Returns:
        The two terms, each of shape ``(2**G,)``; model m has group g where bit g of m is set.
    """
    order = [column for group in reversed(members) for column in group]
    system = torch.cat([matrix, vector[:, None]], 1)[order]
    last = torch.cat([vector[order], vector.new_zeros(1)])
    system = torch.cat([system[:, [*order, len(order)]], last[None]], 0)[None]
    determinant = vector.new_zeros(1)
    for group in reversed(members):
        eliminated, change = system, determinant
        for column in group:
            # Rounding aside, it is positive.
            pivot = eliminated[:, 0, 0].clamp(min=2e-16 * float(matrix[column, column].detach()))
            row = eliminated[:, 0, 1:]
            scaled = row / pivot[:, None]
            eliminated = eliminated[:, 1:, 1:] - row[:, :, None] * scaled[:, None, :]
            change = change + log_slab[column] - 0.5 * torch.log(pivot)
        m = len(group)
        # Interleaved, so that a group's bit is the lower the later it is eliminated.
        system = torch.stack([system[:, m:, m:], eliminated], 1).flatten(0, 1)
        determinant = torch.stack([determinant, change], 1).flatten()
    return -0.5 * system[:, 0, 0], determinant


def all_models(num_groups: int) -> Tensor:
    """Every model as zeros and ones, shape ``(2**G, G)``, in the order of :func:`all_evidences`.

    Args:
        num_groups: G.
    """
    index = torch.arange(2**num_groups)
    return (index[:, None] >> torch.arange(num_groups)) & 1
