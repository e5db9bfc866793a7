r"""A generalised linear model with gates, and its Gaussian approximation at a linear predictor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["GeneralisedProblem", "working_problem"]


@dataclass(frozen=True, eq=False)
class GeneralisedProblem(SelectionProblem):
    r"""A :class:`~l0bayes.selection.problem.selection_problem.SelectionProblem` with a likelihood of its own.

    .. math:: \log p(y \mid \eta) = \sum_i w_i \log p(y_i \mid \eta_i)

    Args:
        x, y, prior, slab_scale, groups: As there.
        unpenalised, unpenalised_scale, offset, weights: As there; weights multiply the log likelihood.
        likelihood: Law of the response given η, one that supports selection and has derivatives; by keyword.

    Raises:
        TypeError: If the likelihood is not one of those.
        ValueError: If shapes do not fit, a number is out of range or not finite, or the response is
            impossible.
    """

    is_gaussian: ClassVar[bool] = False

    likelihood: Likelihood = field(kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.likelihood, Likelihood):
            raise TypeError(
                f"likelihood must be a Likelihood; got {self.likelihood!r}, which has no refinement"
            )
        reason = self.likelihood.supports_selection() or self.likelihood.supports_derivatives()
        if reason is not None:
            raise TypeError(f"the likelihood {self.likelihood!r} has no refinement: {reason}")
        super().__post_init__()
        self.likelihood.check(self.y)


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
    _, first, second = problem.likelihood.derivatives(problem.y, eta, 2)
    first = first if slope is None else slope
    weights = (-second if curvature is None else curvature) * problem.weights
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
