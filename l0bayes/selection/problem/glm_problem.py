r"""A generalised linear model with gates, and the Gaussian problem that stands for it near a point."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.selection.problem.linear_problem import InverseGamma, LinearProblem

__all__ = ["GLMProblem", "working_problem"]


@dataclass(frozen=True)
class GLMProblem(LinearProblem):
    r"""A :class:`LinearProblem` whose response has a likelihood of its own in the place of the Normal.

    .. math:: \log p(y \mid \eta) = \sum_i w_i \log p(y_i \mid \eta_i), \qquad
        \eta = o + U\alpha + X\beta

    Args:
        x, y, prior, slab_scale, groups: As there.
        always, always_scale, offset, weights: As there.
        weights_are_counts: Without effect: weights multiply the log likelihood in any case.
        noise: 1; there is none.
        slab_scaled_by_noise: False.
        likelihood: Law of the response given η, one that supports selection and has derivatives; by keyword.

    Raises:
        TypeError: If the likelihood is not one of those.
        ValueError: If the response is impossible, or a noise is given, which there is none of.
    """

    noise: float | InverseGamma = 1.0
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
        if self.noise != 1.0 or self.slab_scaled_by_noise:
            raise ValueError(
                "a generalised linear model has no noise to give, or to scale the slab by; got "
                f"noise={self.noise!r}, slab_scaled_by_noise={self.slab_scaled_by_noise!r}"
            )
        self.likelihood.check(self.y)


def working_problem(
    problem: GLMProblem, eta: Tensor, slope: Tensor | None = None, curvature: Tensor | None = None
) -> LinearProblem:
    r"""The Gaussian problem with the same slope and curvature of the log likelihood at η.

    .. math:: W_i = -w_i\,\ell''_i(\eta_i), \qquad z_i = \eta_i + w_i\,\ell'_i(\eta_i)/W_i, \qquad
        z_i \sim N(\eta_i, 1/W_i)

    Args:
        problem: The problem.
        eta: Where to expand, shape ``(n,)``.
        slope: What to take in the place of ℓ', shape ``(n,)``.
        curvature: What to take in the place of -ℓ'', shape ``(n,)``.
    """
    _, first, second = problem.likelihood.derivatives(problem.y, eta, 2)
    first = first if slope is None else slope
    weights = (-second if curvature is None else curvature) * problem.weights
    # A row without curvature still needs a weight above 0; one this small has no say.
    weights = weights.clamp(min=1e-10 * float(weights.max()))
    return LinearProblem(
        x=problem.x,
        y=eta + problem.weights * first / weights,
        prior=problem.prior,
        slab_scale=problem.slab_scale,
        noise=1.0,
        groups=problem.groups,
        always=problem.always,
        always_scale=problem.always_scale,
        offset=problem.offset,
        weights=weights,
    )
