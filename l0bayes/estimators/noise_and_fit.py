r"""The noise and the share of the response that is explained, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.estimators.original_scale import OriginalScalePosterior
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.summaries.coefficient_draws import narrowest_interval

__all__ = ["Spread", "learned_draws", "noise_and_fit"]

_CHUNK = 4_000_000


@dataclass(frozen=True)
class Spread:
    """A posterior in three numbers.

    Attributes:
        mean: Posterior mean; of a learned slab scale the median.
        low, high: Ends of the narrowest interval that holds the share asked for; of a learned slab scale of
            the equal-tailed one, with as much of the posterior below as above.
    """

    mean: float
    low: float
    high: float


def noise_and_fit(found: OriginalScalePosterior, hdi_prob: float) -> dict[str, Spread]:
    r"""Posterior of σ, in units of the response, and of Bayesian R² (Gelman, Goodrich, Gabry, Vehtari 2019).

    .. math:: R^2 = \frac{\operatorname{Var}_i(\eta_i)}{\operatorname{Var}_i(\eta_i) + \sigma^2}

    for every draw of coefficients and σ, with variances over the rows as they are weighted. Where the
    response is not Normal there are the numbers that its likelihood learns, if any, such as ``"dispersion"``;
    a noise variance as σ.

    Args:
        found: The posterior on the user's scale.
        hdi_prob: Share of the posterior that the intervals hold.

    Returns:
        ``"sigma"`` and ``"r2"``, and a learned ``"slab_scale"`` in units of the engine; or what is learned
        by its name, or nothing.
    """
    if not found.gaussian:
        names = {"noise_scale": "sigma"}
        learned = learned_draws(found)
        return {names.get(name, name): _spread(draws, hdi_prob) for name, draws in learned.items()}
    noise = found.coefficients.noise_scale
    explained = _explained(found)
    scale = found.draws.scalars
    return {
        "sigma": _spread(noise * found.scaling.response_scale, hdi_prob),
        "r2": _spread(explained / (explained + noise.square()), hdi_prob),
        **({} if scale is None else {"slab_scale": _middle(scale[:, 0], hdi_prob)}),
    }


def learned_draws(found: OriginalScalePosterior) -> dict[str, Tensor]:
    """Draws of the numbers that a likelihood learns, by name, each of shape ``(S,)``.

    The noise's is its scale, ``"noise_scale"``, in units of the response.

    Args:
        found: The posterior on the user's scale.
    """
    problem, scalars = found.posterior.problem, found.draws.scalars
    if not isinstance(problem, LearnedProblem) or scalars is None:
        return {}
    logs = scalars.log()
    draws = {}
    for index, one in enumerate(problem.scalars):
        if one.name == "noise_variance":
            draws["noise_scale"] = (0.5 * logs[:, index]).exp() * found.scaling.response_scale
        else:
            draws[one.name] = logs[:, index].exp()
    return draws


def _explained(found: OriginalScalePosterior) -> Tensor:
    """Variance of the linear predictor over the rows, for every draw, in the engine's units."""
    problem, beta = found.posterior.problem, found.coefficients.beta
    share = problem.weights / problem.weights.sum()
    centred = problem.x - share @ problem.x
    variance = torch.zeros(len(beta), dtype=torch.float64)
    for rows, weights in zip(
        centred.split(max(1, _CHUNK // len(beta))), share.split(max(1, _CHUNK // len(beta))), strict=True
    ):
        variance += weights @ (rows @ beta.T).square()
    return variance


def _middle(draws: Tensor, hdi_prob: float) -> Spread:
    """Quantiles of a scale: one that the data say little of may have no mean, and no shortest interval."""
    shares = torch.tensor([0.5, 0.5 - 0.5 * hdi_prob, 0.5 + 0.5 * hdi_prob], dtype=torch.float64)
    return Spread(*draws.log().quantile(shares).exp().tolist())


def _spread(draws: Tensor, hdi_prob: float) -> Spread:
    low, high = narrowest_interval(draws[:, None], hdi_prob)[0].tolist()
    return Spread(float(draws.mean()), low, high)
