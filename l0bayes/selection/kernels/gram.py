r"""Second moments of the data: all that a Gaussian likelihood needs of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.problem.linear_problem import InverseGamma, LinearProblem

__all__ = ["Gram", "System"]


@dataclass(frozen=True)
class System:
    r"""The exponent :math:`-\tfrac12 \beta' A \beta + b'\beta` of the gated columns at one noise variance.

    Columns without a gate are integrated out.

    Attributes:
        matrix: A, shape ``(p, p)``.
        vector: b, shape ``(p,)``.
        log_slab: :math:`\tfrac12 \log` of each slab's prior precision, shape ``(p,)``.
        constant: Log evidence of the model with every gate shut.
        square: Weighted residual sum of squares, over the noise variance, of the model with every gate
            shut.
    """

    matrix: Tensor
    vector: Tensor
    log_slab: Tensor
    constant: Tensor
    square: Tensor


@dataclass(frozen=True)
class Gram:
    r"""Weighted second moments, columns without a gate first.

    Attributes:
        matrix: :math:`[U, X]' W [U, X]`, shape ``(k + p, k + p)``.
        vector: :math:`[U, X]' W (y - o)`, shape ``(k + p,)``.
        square: :math:`(y - o)' W (y - o)`.
        problem: Where it is from.
    """

    matrix: Tensor
    vector: Tensor
    square: Tensor
    problem: LinearProblem

    @classmethod
    def of(cls, problem: LinearProblem) -> Gram:
        """Second moments of a problem.

        Args:
            problem: The problem.
        """
        root = problem.weights.sqrt()
        columns = torch.cat([problem.always, problem.x], 1) * root[:, None]
        response = (problem.y - problem.offset) * root
        return cls(columns.T @ columns, columns.T @ response, response @ response, problem)

    @property
    def conjugate(self) -> InverseGamma | None:
        """The noise prior, where an unknown noise can be integrated out in closed form.

        It can where every prior variance is in units of it: scaled slabs, and no column without a gate but
        under a flat prior.
        """
        problem = self.problem
        noise = problem.noise
        if not (isinstance(noise, InverseGamma) and problem.slab_scaled_by_noise):
            return None
        return noise if bool(torch.isinf(problem.always_scale).all()) else None

    @property
    def degrees(self) -> float:
        r""":math:`a + (n - k)/2`, the shape of the noise's posterior in the conjugate case."""
        noise = self.conjugate
        assert noise is not None
        return noise.shape + 0.5 * (self.problem.num_observations - self.problem.always.shape[1])

    def precision(self, variance: Tensor) -> Tensor:
        """Prior precision of all columns, shape ``(..., k + p)``.

        Args:
            variance: Noise variance σ², any shape.
        """
        problem = self.problem
        always = problem.always_scale.square().reciprocal()
        slab = problem.slab_scale.square().reciprocal()
        shape = (*variance.shape, -1)
        slab = (slab / variance[..., None]) if problem.slab_scaled_by_noise else slab.expand(shape)
        return torch.cat([always.expand(*variance.shape, always.shape[0]), slab], -1)

    def log_constant(self, variance: Tensor) -> Tensor:
        """Log density of the response at zero coefficients.

        Args:
            variance: Noise variance σ², any shape.
        """
        n = self.problem.num_observations
        counts = self.problem.weights_are_counts
        weights = 0.0 if counts else 0.5 * torch.log(self.problem.weights).sum()
        return weights - 0.5 * n * torch.log(2.0 * math.pi * variance) - 0.5 * self.square / variance

    def at(self, variance: Tensor) -> System:
        """The system of the gated columns at one noise variance.

        Args:
            variance: σ², a scalar.
        """
        k = self.problem.always.shape[1]
        precision = self.precision(variance)
        matrix = self.matrix / variance + torch.diag(precision)
        vector = self.vector / variance
        constant = self.log_constant(variance)
        log_slab = 0.5 * torch.log(precision[k:])
        if not k:
            return System(matrix, vector, log_slab, constant, self.square / variance)
        factor = torch.linalg.cholesky(matrix[:k, :k])
        cross = torch.linalg.solve_triangular(factor, matrix[:k, k:], upper=False)
        inner = torch.linalg.solve_triangular(factor, vector[:k, None], upper=False)[:, 0]
        prior = precision[:k]
        # A flat prior has no density to put in; evidences are then up to a constant.
        log_prior = 0.5 * torch.where(prior > 0, torch.log(prior.clamp(min=1e-300)), 0.0).sum()
        constant = constant + log_prior - factor.diagonal().log().sum() + 0.5 * inner @ inner
        square = self.square / variance - inner @ inner
        reduced, rest = matrix[k:, k:] - cross.T @ cross, vector[k:] - cross.T @ inner
        return System(reduced, rest, log_slab, constant, square)
