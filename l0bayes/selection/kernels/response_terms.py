r"""What a generalised problem's response adds to Newton's method and to Laplace's: by rows, or as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from l0bayes.selection.kernels.design import Design, Gathered
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem, row_curvature

__all__ = ["ResponseTerms", "terms_of"]


class ResponseTerms(ABC):
    """The log likelihood of a problem at the coefficients of many models.

    Args:
        problem: The problem.
    """

    shares_columns: bool = True
    """Whether columns may be shared by all models (:class:`~l0bayes.selection.kernels.design.Shared`)."""

    def __init__(self, problem: GeneralisedProblem) -> None:
        self.problem = problem

    @abstractmethod
    def value(self, eta: Tensor) -> Tensor:
        """Log likelihood, shape ``(M,)``.

        Args:
            eta: Linear predictors, shape ``(M, n)``.
        """

    @abstractmethod
    def expand(self, design: Design, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log likelihood, its slope in the coefficients, and a Cholesky factor of the posterior's curvature.

        Where the log posterior is not concave the factor is that of a parabola below it; where there is no
        factor the log likelihood is minus infinity.

        Args:
            design: Columns of the models.
            beta: Coefficients, shape ``(M, s)``.

        Returns:
            Shapes ``(M,)``, ``(M, s)`` and ``(M, s, s)``.
        """

    @abstractmethod
    def second_order(self, design: Gathered, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""The second-order term of :func:`~l0bayes.selection.kernels.laplace.refine_modes`.

        Args:
            design: Columns of the models.
            beta: Modes, shape ``(M, s)``.

        Returns:
            The term, shape ``(M,)``; what twice the shift of the mean is in the factor's coordinates, shape
            ``(M, s)``; the factor.
        """

    @abstractmethod
    def spread(self, design: Gathered, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""Predictor, and mean slope and curvature of each row over the Normal law of Laplace's method.

        Args:
            design: Columns of the models.
            beta: Modes, shape ``(M, s)``.

        Returns:
            Three tensors of shape ``(M, n)``.
        """

    @abstractmethod
    def rows(self, eta: Tensor) -> tuple[Tensor, Tensor]:
        """Slope and positive curvature of every row, weights included, each of shape ``(n,)``.

        Args:
            eta: Linear predictor, shape ``(n,)``.
        """

    def factor(self, design: Design, beta: Tensor) -> Tensor:
        """Cholesky factor of the posterior's curvature, shape ``(M, s, s)``.

        Args:
            design: Columns of the models.
            beta: Coefficients, shape ``(M, s)``.
        """
        return self.expand(design, beta)[2]


class _ByRow(ResponseTerms):
    def value(self, eta: Tensor) -> Tensor:
        value: Tensor = self.problem.likelihood.log_density(self.problem.y, eta) @ self.problem.weights
        return value

    def expand(self, design: Design, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        problem, weights = self.problem, self.problem.weights
        eta = design.predictor(beta)
        value, first, second = problem.likelihood.derivatives(problem.y, eta, 2)
        factor, failed = torch.linalg.cholesky_ex(design.curvature(-second * weights))
        total = value @ weights
        if bool(failed.any()):
            if not problem.likelihood.has_bound:
                total = torch.where(failed == 0, total, -torch.inf)
            else:
                bound = problem.likelihood.curvature_bound(problem.y, eta)
                below = torch.linalg.cholesky(design.curvature(bound * weights))
                factor = torch.where(failed[:, None, None] == 0, factor, below)
        return total, design.back(first * weights), factor

    def second_order(self, design: Gathered, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        problem = self.problem
        derivatives = problem.likelihood.derivatives(problem.y, design.predictor(beta), 4)
        third, fourth = (value * problem.weights for value in derivatives[3:])
        factor = self.factor(design, beta)
        white = torch.linalg.solve_triangular(factor, design.columns, upper=False)
        q = white.square().sum(1)
        inner = (white @ (third * q)[..., None])[..., 0]
        a, b = torch.triu_indices(white.shape[1], white.shape[1])
        tensor = (white[:, a] * white[:, b] * third[:, None]) @ white.mT
        twice = torch.where(a == b, 1.0, 2.0).to(tensor)
        cubes = (tensor.square().sum(2) * twice).sum(1)
        correction = (fourth * q.square()).sum(1) / 8 + inner.square().sum(1) / 8 + cubes / 12
        return correction, inner, factor

    def spread(self, design: Gathered, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        problem = self.problem
        eta = design.predictor(beta)
        _, first, second, third, fourth = problem.likelihood.derivatives(problem.y, eta, 4)
        factor = self.factor(design, beta)
        q = torch.linalg.solve_triangular(factor, design.columns, upper=False).square().sum(1)
        positive = row_curvature(problem, eta, second)
        curvature = torch.maximum(positive - 0.5 * q * fourth, 0.25 * positive)
        if problem.likelihood.has_bound:  # a series that such tails do not follow
            return eta, first, positive
        return eta, first + 0.5 * q * third, curvature

    def rows(self, eta: Tensor) -> tuple[Tensor, Tensor]:
        _, first, second = self.problem.likelihood.derivatives(self.problem.y, eta, 2)
        weights = self.problem.weights
        return weights * first, weights * row_curvature(self.problem, eta, second)


class _AsAWhole(ResponseTerms):
    shares_columns = False

    def __init__(self, problem: GeneralisedProblem) -> None:
        super().__init__(problem)
        self.density = problem.whole_density

    def value(self, eta: Tensor) -> Tensor:
        return self.density.value(eta)

    def expand(self, design: Design, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eta = design.predictor(beta)
        value, slope, _ = self.density.rows(eta)
        matrix = self.density.curvature(eta, _columns(design)) + torch.diag_embed(design.precision)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        return torch.where(failed == 0, value, -torch.inf), design.back(slope), factor

    def second_order(self, design: Gathered, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        factor = self.factor(design, beta)
        white = torch.linalg.solve_triangular(factor, design.columns, upper=False)
        correction, inner = self.density.second_order(design.predictor(beta), white)
        return correction, inner, factor

    def spread(self, design: Gathered, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eta = design.predictor(beta)
        _, slope, diagonal = self.density.rows(eta)
        return eta, slope, diagonal

    def rows(self, eta: Tensor) -> tuple[Tensor, Tensor]:
        _, slope, diagonal = self.density.rows(eta[None])
        return slope[0], diagonal[0]


def _columns(design: Design) -> Tensor:
    assert isinstance(design, Gathered), "rows together need columns of every model's own"
    return design.columns


def terms_of(problem: GeneralisedProblem) -> ResponseTerms:
    """The terms of a problem, computed once and kept.

    Args:
        problem: The problem.
    """
    return problem.kept(_terms)


def _terms(problem: GeneralisedProblem) -> ResponseTerms:
    return _ByRow(problem) if problem.likelihood.by_row else _AsAWhole(problem)
