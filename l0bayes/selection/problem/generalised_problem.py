r"""A generalised linear model with gates, and its Gaussian approximation at a linear predictor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.whole_density import WholeDensity
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["GeneralisedProblem", "row_curvature", "working_problem"]

# Directions in which the curvature is less than this share of the largest say nothing.
_FLAT = 1e-12


@dataclass(frozen=True, eq=False)
class GeneralisedProblem(SelectionProblem):
    r"""A :class:`~l0bayes.selection.problem.selection_problem.SelectionProblem` with a likelihood of its own.

    .. math:: \log p(y \mid \eta) = \sum_i w_i \log p(y_i \mid \eta_i)

    Args:
        x, y, prior, slab_scale, groups: As there.
        unpenalised, unpenalised_scale, offset, weights: As there; weights multiply the log likelihood.
        likelihood: Law of the response given η, one that supports selection and has derivatives, by row or as
            a whole; by keyword.

    Raises:
        TypeError: If the likelihood is not one of those.
        ValueError: If shapes do not fit, a number is out of range or not finite, the response is
            impossible, or offsets are further apart than numbers hold.
    """

    is_gaussian: ClassVar[bool] = False

    likelihood: Likelihood = field(kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.likelihood, Likelihood):
            raise TypeError(
                f"likelihood must be a Likelihood; got {self.likelihood!r}, which has no refinement"
            )
        reason = self.likelihood.supports_expansion()
        if reason is None and self.likelihood.unknowns:
            unknown = self.likelihood.unknowns[0]
            reason = f"{unknown} is a latent of its own; give a number, or take a LearnedProblem"
        if reason is not None:
            raise TypeError(f"the likelihood {self.likelihood!r} has no refinement: {reason}")
        super().__post_init__()
        self.likelihood.check(self.y)
        self.likelihood.check_offset(self.offset)

    @property
    def response_shape(self) -> tuple[int, ...]:
        return self.likelihood.response_shape

    @property
    def whole_density(self) -> WholeDensity:
        """The log density of all rows together, where rows have none of their own."""
        return self.likelihood.whole_density(self.y, self.weights)


def row_curvature(problem: GeneralisedProblem, eta: Tensor, second: Tensor) -> Tensor:
    r"""A positive curvature of every row's log density: :math:`-\ell''` where that is one.

    Elsewhere it is the curvature of the bound, in the proportion in which it adds up to :math:`-\ell''` over
    all rows.

    Args:
        problem: The problem.
        eta: Linear predictors, shape ``(..., n)``.
        second: :math:`\ell''` there.
    """
    if not problem.likelihood.has_bound:
        return -second
    bound = problem.likelihood.curvature_bound(problem.y, eta)
    share = (-second).sum(-1, keepdim=True) / bound.sum(-1, keepdim=True)
    return bound * share.clamp(0.1, 1.0)


def working_problem(
    problem: GeneralisedProblem, eta: Tensor, slope: Tensor | None = None, curvature: Tensor | None = None
) -> GaussianProblem:
    r"""The Gaussian problem with the same slope and curvature of the log likelihood at η.

    .. math:: W_i = -w_i\,\ell''_i(\eta_i), \qquad z_i = \eta_i + w_i\,\ell'_i(\eta_i)/W_i, \qquad
        z_i \sim N(\eta_i, 1/W_i)

    Args:
        problem: The problem.
        eta: Where to expand, shape ``(n,)``.
        slope: Replaces ℓ', shape ``(n,)``.
        curvature: Replaces -ℓ'', shape ``(n,)``.
    """
    if not problem.likelihood.by_row:
        return _of_the_whole(problem, eta)
    _, first, second = problem.likelihood.derivatives(problem.y, eta, 2)
    first = first if slope is None else slope
    weights = (row_curvature(problem, eta, second) if curvature is None else curvature) * problem.weights
    # A row without curvature still needs a weight above 0; one this small has no influence.
    weights = weights.clamp(min=1e-10 * float(weights.max()))
    return GaussianProblem(
        x=problem.x,
        y=eta + problem.weights * first / weights,
        prior=problem.prior,
        slab_scale=problem.slab_scale,
        noise=1.0,
        groups=problem.groups,
        unpenalised=problem.unpenalised,
        unpenalised_scale=problem.unpenalised_scale,
        offset=problem.offset,
        weights=weights,
    )


def _of_the_whole(problem: GeneralisedProblem, eta: Tensor) -> GaussianProblem:
    r"""The same where rows have no density of their own, of as many rows as the curvature has directions.

    With :math:`H = -\nabla^2\ell` and g the gradient at η, a factor :math:`X'HX = R'R` gives the columns R
    and the response :math:`R^{-\mathsf T} X'(g + H(\eta - o))`; where there are more columns than rows, a
    factor of H itself.
    """
    density, columns = problem.whole_density, problem.columns
    slope = density.rows(eta[None])[1][0]
    shift = eta - problem.offset
    if columns.shape[1] < problem.num_rows:
        sides = torch.cat([columns, shift[:, None]], 1)
        square = density.curvature(eta[None], sides.T[None])[0]
        matrix, vector = square[:-1, :-1], square[:-1, -1] + columns.T @ slope
        values, vectors = torch.linalg.eigh(matrix)
        kept = values > _FLAT * values.max()
        roots = values[kept].sqrt()
        root = roots[:, None] * vectors[:, kept].T
        response = vectors[:, kept].T @ vector / roots
    else:
        identity = torch.eye(problem.num_rows, dtype=torch.float64)
        values, vectors = torch.linalg.eigh(density.curvature(eta[None], identity[None])[0])
        kept = values > _FLAT * values.max()
        roots = values[kept].sqrt()
        turn = vectors[:, kept].T
        root = roots[:, None] * (turn @ columns)
        response = roots * (turn @ shift) + turn @ slope / roots
    k = problem.num_unpenalised
    return GaussianProblem(
        x=root[:, k:],
        y=response,
        prior=problem.prior,
        slab_scale=problem.slab_scale,
        noise=1.0,
        groups=problem.groups,
        unpenalised=root[:, :k],
        unpenalised_scale=problem.unpenalised_scale,
    )
