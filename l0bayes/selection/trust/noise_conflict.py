r"""Whether it is the prior or the data that says how large the noise is."""

from __future__ import annotations

import math
from functools import singledispatch

from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.noise_prior import InverseGamma
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["NoisePriorWarning", "noise_conflict"]

# The noise variance may differ by so much from what the residuals alone say.
_FACTOR = 1.5


class NoisePriorWarning(UserWarning):
    """A prior of the noise that moves the noise away from what the data say."""


@singledispatch
def noise_conflict(
    problem: SelectionProblem, posterior: SelectionPosterior, response_scale: float = 1.0
) -> str | None:
    r"""How far the prior of an unknown noise moves it, in words, where it is far.

    Given models and coefficients the noise variance is
    :math:`\mathrm{InverseGamma}(a + n/2, b + \mathrm{RSS}/2)`, so that

    .. math:: E\bigl[(b + \mathrm{RSS}/2)/\sigma^2\bigr] = a + n/2

    under the posterior. The part :math:`u = b\,E[1/\sigma^2]` of it is the prior's, the rest comes from
    residuals. These alone would say :math:`\mathrm{RSS}/n`, and the posterior is

    .. math:: \frac{n/2}{a + n/2 - u}

    times that. There is a conflict where this is above 1.5 or below 1/1.5.

    Args:
        problem: The problem.
        posterior: What an engine found.
        response_scale: Unit of the problem's response, in the user's.

    Returns:
        The conflict; ``None`` where there is none, or no prior of the noise.
    """
    return None


@noise_conflict.register
def _(problem: GaussianProblem, posterior: SelectionPosterior, response_scale: float = 1.0) -> str | None:
    prior, draws = problem.noise_prior, posterior.draws
    if prior is None:
        return None
    half = 0.5 * problem.num_observations
    if problem.slab_scaled_by_noise:  # open slabs are residuals too
        half += 0.5 * float(draws.weights @ draws.gates[:, problem.groups].sum(1) / draws.weights.sum())
    precision = float(draws.weights @ draws.variances.reciprocal() / draws.weights.sum())
    left = prior.shape + half - prior.rate * precision
    factor = half / left if left > 0.0 else math.inf
    if 1.0 / _FACTOR <= factor <= _FACTOR:
        return None
    noise = response_scale * math.sqrt(float(draws.weights @ draws.variances / draws.weights.sum()))
    alone = f"about {math.sqrt(1.0 / factor):.2g} times that" if math.isfinite(factor) else "next to nothing"
    what = "too small PIPs for small effects" if factor > 1.0 else "too large PIPs for columns of noise"
    return (
        f"Prior and data conflict about the noise: under {prior.words} of the noise variance (in units of "
        f"the response as modelled) σ is {noise:.3g}, while the residuals alone say {alone}. That means "
        f"{what}. Give noise_prior (l0bayes select: --noise-prior) {_remedy(problem)}"
    )


@noise_conflict.register
def _(problem: LearnedSlabProblem, posterior: SelectionPosterior, response_scale: float = 1.0) -> str | None:
    return noise_conflict(problem.given, posterior, response_scale)


def _remedy(problem: GaussianProblem) -> str:
    """What to give: Jeffreys' prior where it is not refused."""
    try:
        problem.replace(noise=InverseGamma.jeffreys())
    except ValueError:
        return (
            "a pair (shape, rate) that says how large the noise may be: the columns together fit every row, "
            "and the data alone do not tell."
        )
    return "'jeffreys', under which the data speak alone, or a pair (shape, rate) that suits them."
