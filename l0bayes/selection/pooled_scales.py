r"""A posterior averaged over a scale that is a latent, by quadrature over its logarithm."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from l0bayes.selection.kernels.between_nodes import between_nodes
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.recognise.latent_scales import LatentScale
from l0bayes.selection.recognise.linear_model import NotLinearError
from l0bayes.selection.recognise.model_priors import REMEDY

__all__ = ["ScaleComponent", "average_over_scale"]

# Factors of e about the value that was read, and how many nats below the highest still count.
_REACH, _COARSE, _FINE, _NEGLIGIBLE = 7.0, 15, 21, 14.0
# A grid is fine enough where so many of its points count; and how often it is made finer.
_NEAR, _ROUNDS = 10, 6


@dataclass(frozen=True)
class ScaleComponent:
    """The posterior at one value of the scale.

    Attributes:
        value: The scale.
        weight: Its share of the posterior.
        posterior: The posterior given it.
    """

    value: float
    weight: float
    posterior: SelectionPosterior


def average_over_scale(
    problem: SelectionProblem, scale: LatentScale, infer: Callable[[SelectionProblem], SelectionPosterior]
) -> tuple[SelectionPosterior, list[ScaleComponent]]:
    r"""Average a posterior over a scale τ of ungated columns, or of the noise.

    .. math:: p(\gamma, \beta \mid D) = \int p(\gamma, \beta \mid D, \tau)\,
        \frac{p(D \mid \tau)\, p(\tau)}{p(D)}\, d\tau

    by the trapezoidal rule over :math:`\log\tau`, on a coarse grid first and then where it has its mass, as
    often as it takes for points to lie close enough in it.

    Args:
        problem: The problem at the value that was read.
        scale: The scale.
        infer: The posterior of a problem, with its evidence.

    Returns:
        The average, and what it is made of.

    Raises:
        NotLinearError: If the engine gives no evidence.
    """

    def at(log_value: float) -> SelectionPosterior:
        factor = math.exp(log_value) / scale.value
        found = infer(_at(problem, scale, factor**scale.power))
        if math.isnan(found.log_evidence):
            raise NotLinearError(
                f"the scale {scale.name!r} is a latent, which takes an engine that gives the evidence of the "
                f"data, and {found.engine!r} does not; use the engine 'exact', or fix the scale"
                + (f"; of a noise: {REMEDY}" if scale.columns is None else "")
            )
        return found

    def joint(grid: Tensor, posteriors: list[SelectionPosterior]) -> Tensor:
        evidence = torch.tensor([one.log_evidence for one in posteriors], dtype=torch.float64)
        return evidence + scale.log_prior(grid.exp()) + grid  # of log τ

    centre = math.log(scale.value)
    grid = torch.linspace(centre - _REACH, centre + _REACH, _COARSE, dtype=torch.float64)
    posteriors = [at(float(one)) for one in grid]
    for _ in range(_ROUNDS):
        found = joint(grid, posteriors)
        near = torch.nonzero(found > found.max() - _NEGLIGIBLE).flatten()
        if len(grid) == _FINE and len(near) >= _NEAR:
            break
        low, high = (float(grid[int(one.clamp(0, len(grid) - 1))]) for one in (near[0] - 1, near[-1] + 1))
        grid = torch.linspace(low, high, _FINE, dtype=torch.float64)
        posteriors = [at(float(one)) for one in grid]
    logs = joint(grid, posteriors) + (grid[1] - grid[0]).log()
    weights = logs.softmax(0)
    rounded = 2.0 * scale.power * (grid[1] - grid[0]) if scale.columns is None else grid.new_zeros(())
    return _mixed(posteriors, weights, float(logs.logsumexp(0)), rounded), [
        ScaleComponent(math.exp(float(one)), float(weight), posterior)
        for one, weight, posterior in zip(grid, weights, posteriors, strict=True)
    ]


def _mixed(
    posteriors: list[SelectionPosterior], weights: Tensor, log_evidence: float, step: Tensor
) -> SelectionPosterior:
    """The average; noise variances, which from one posterior to the next are a step apart, from between."""
    best = posteriors[int(weights.argmax())]

    def mean(name: str) -> Tensor:
        values = torch.stack([getattr(one, name) for one in posteriors])
        found: Tensor = torch.tensordot(weights, values, 1)
        return found

    draws = [one.draws for one in posteriors]
    nodes = torch.cat([torch.full((len(one.gates),), index) for index, one in enumerate(draws)])
    shares = torch.cat([one.weights * weight for one, weight in zip(draws, weights, strict=True)])
    places = between_nodes(torch.arange(len(draws))[:, None], weights.log(), nodes, shares)[:, 0]
    return replace(
        best,
        pip=mean("pip"),
        pip_mcse=mean("pip_mcse"),
        mean=mean("mean"),
        second_moment=mean("second_moment"),
        log_evidence=log_evidence,
        size_probabilities=mean("size_probabilities"),
        draws=ModelDraws(
            torch.cat([one.gates for one in draws]),
            torch.cat([one.variances for one in draws]) * (step * (places - nodes)).exp(),
            shares,
            torch.cat([one.chains for one in draws]),
        ),
        exact_joint=None if best.exact_joint is None else mean("exact_joint"),
        unpenalised_mean=None,
        exact_log_odds=None,
    )


def _at(problem: SelectionProblem, scale: LatentScale, factor: float) -> SelectionProblem:
    """The problem with the scale multiplied by a factor."""
    if scale.columns is None:
        return problem.replace(noise=problem.noise_variance**0.5 * factor)
    scales = torch.where(scale.columns, problem.unpenalised_scale * factor, problem.unpenalised_scale)
    return problem.replace(unpenalised_scale=scales)
