r"""The Gaussian system of the gated columns, those without a gate integrated out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.problem.gaussian_problem import GaussianProblem

__all__ = ["GatedSystem", "gated_system"]


@dataclass(frozen=True)
class GatedSystem:
    r"""The exponent :math:`-\tfrac12 \beta' A \beta + b'\beta` of the gated columns at one noise variance.

    Attributes:
        matrix: A, shape ``(p, p)``.
        vector: b, shape ``(p,)``.
        log_slab: :math:`\tfrac12 \log` of each slab's prior precision, shape ``(p,)``.
        constant: Log evidence of the model with every gate shut.
        square: Weighted residual sum of squares, over the noise variance, of the model with every gate
            shut.
        scale: ``constant`` without the half of ``square`` that is taken off it.
    """

    matrix: Tensor
    vector: Tensor
    log_slab: Tensor
    constant: Tensor
    square: Tensor
    scale: Tensor


def gated_system(problem: GaussianProblem, variance: Tensor) -> GatedSystem:
    """The system at one noise variance.

    Args:
        problem: The problem.
        variance: σ², a scalar.
    """
    gram, k = problem.gram, problem.num_unpenalised
    precision = problem.precision(variance)
    matrix = gram.matrix / variance + torch.diag(precision)
    vector = gram.vector / variance
    scale = problem.log_constant(variance)
    log_slab = 0.5 * torch.log(precision[k:])
    if not k:
        square = gram.square / variance
        return GatedSystem(matrix, vector, log_slab, scale - 0.5 * square, square, scale)
    factor = torch.linalg.cholesky(matrix[:k, :k])
    cross = torch.linalg.solve_triangular(factor, matrix[:k, k:], upper=False)
    inner = torch.linalg.solve_triangular(factor, vector[:k, None], upper=False)[:, 0]
    prior = precision[:k]
    # A flat prior has no density; evidences are then up to a constant.
    log_prior = 0.5 * torch.where(prior > 0, torch.log(prior.clamp(min=1e-300)), 0.0).sum()
    scale = scale + log_prior - factor.diagonal().log().sum()
    square = gram.square / variance - inner @ inner
    reduced, rest = matrix[k:, k:] - cross.T @ cross, vector[k:] - cross.T @ inner
    return GatedSystem(reduced, rest, log_slab, scale - 0.5 * square, square, scale)
