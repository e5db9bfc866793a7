r"""Posteriors of small problems by enumeration, written apart from the engines.

A Gaussian problem has a dense Normal marginal for every model, on a fine grid over an unknown noise. In a
generalised one every model's coefficients are integrated by Gauss-Hermite quadrature about their mode, with
the log densities of ``torch.distributions``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l0bayes.selection import GaussianProblem, GeneralisedProblem, SelectionProblem

__all__ = ["ExactPosterior", "enumerate_all"]

_NOISE_RANGE, _NOISE_NODES = 8.0, 241
_HERMITE_NODES = 14
_NEWTON_STEPS = 50


@dataclass(frozen=True)
class ExactPosterior:
    r"""What an engine should find.

    Attributes:
        pip: Inclusion probabilities, shape ``(G,)``.
        mean: Means of the gated coefficients, zeros included, shape ``(p,)``.
        second_moment: Their second moments, shape ``(p,)``.
        size_probabilities: Law of the number of open gates, shape ``(G + 1,)``.
        joint: Probabilities that two gates are open together, shape ``(G, G)``.
        log_evidence: Log evidence.
    """

    pip: Tensor
    mean: Tensor
    second_moment: Tensor
    size_probabilities: Tensor
    joint: Tensor
    log_evidence: float


@singledispatch
def enumerate_all(problem: SelectionProblem) -> ExactPosterior:
    """The posterior of a problem with few gates.

    Args:
        problem: The problem.

    Raises:
        TypeError: If there is no reference for this kind of problem.
    """
    raise TypeError(f"there is no reference for a {type(problem).__name__}")


@enumerate_all.register
def _(problem: GaussianProblem) -> ExactPosterior:
    prior = problem.noise_prior
    if prior is None:
        t, log_weight = torch.tensor([math.log(problem.noise_variance)], dtype=torch.float64), torch.zeros(1)
    else:
        t = torch.linspace(-_NOISE_RANGE, _NOISE_RANGE, _NOISE_NODES, dtype=torch.float64)
        a, b = prior.shape, prior.rate
        density = a * math.log(b) - math.lgamma(a) - a * t - b * torch.exp(-t)
        log_weight = density + math.log(float(t[1] - t[0]))
    return _collected(
        problem, [_dense(problem, gates, t.exp()[:, None, None], log_weight) for gates in _models(problem)]
    )


@enumerate_all.register
def _(problem: GeneralisedProblem) -> ExactPosterior:
    density = _log_density_of(problem)
    return _collected(problem, [_quadrature(problem, gates, density) for gates in _models(problem)])


def _models(problem: SelectionProblem) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=problem.num_groups)), dtype=torch.float64)


def _collected(problem: SelectionProblem, parts: list[tuple[Tensor, Tensor, Tensor]]) -> ExactPosterior:
    """Of log evidence, mean and second moment of every model."""
    models = _models(problem)
    evidence, means, seconds = (torch.stack(values) for values in zip(*parts, strict=True))
    score = evidence + _log_prior(problem, models)
    weight = torch.softmax(score, 0)
    sizes = torch.zeros(problem.num_groups + 1, dtype=torch.float64)
    return ExactPosterior(
        weight @ models,
        weight @ means,
        weight @ seconds,
        sizes.index_add_(0, models.sum(1).long(), weight),
        models.T @ (models * weight[:, None]),
        float(torch.logsumexp(score, 0)),
    )


def _log_prior(problem: SelectionProblem, models: Tensor) -> Tensor:
    prior, count = problem.prior, problem.num_groups
    if prior.beta is None:
        inclusion = prior.inclusion(count)
        return torch.log(torch.where(models > 0, inclusion, 1.0 - inclusion)).sum(1)
    a, b = prior.beta

    def log_beta(one: float, other: float) -> float:
        return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)

    values = [log_beta(a + size, b + count - size) - log_beta(a, b) for size in models.sum(1).tolist()]
    return torch.tensor(values, dtype=torch.float64)


def _dense(
    problem: GaussianProblem, gates: Tensor, variances: Tensor, log_weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Log evidence and moments of a model by its n × n covariance at every noise variance."""
    counts = problem.weights if problem.weights_are_counts else torch.ones_like(problem.weights)
    rows = torch.repeat_interleave(torch.arange(problem.num_rows), counts.long())
    noise = torch.ones(len(rows), dtype=torch.float64)
    if not problem.weights_are_counts:
        noise = 1.0 / problem.weights
    x, u = problem.x[rows], problem.unpenalised[rows]
    response = (problem.y - problem.offset)[rows]
    prior_variance = gates[problem.groups] * problem.slab_scale.square()
    scale = variances if problem.slab_scaled_by_noise else torch.ones_like(variances)
    loading = x * prior_variance
    fixed = (u * problem.unpenalised_scale.square()) @ u.T
    covariance = variances * torch.diag(noise) + scale * (loading @ x.T) + fixed
    law = torch.distributions.MultivariateNormal(torch.zeros_like(response), covariance)
    log_joint = law.log_prob(response) + log_weight
    weight = torch.softmax(log_joint, 0)[:, None]
    gain = scale * torch.linalg.solve(covariance, loading).mT
    mean = gain @ response
    variance = scale[:, 0] * prior_variance - (gain @ loading).diagonal(dim1=1, dim2=2) * scale[:, 0]
    return torch.logsumexp(log_joint, 0), (weight * mean).sum(0), (weight * (variance + mean**2)).sum(0)


def _log_density_of(problem: GeneralisedProblem) -> Callable[[Tensor], Tensor]:
    """Log density of every row from linear predictors, by ``torch.distributions``."""
    y, likelihood = problem.y, problem.likelihood
    laws: dict[str, Callable[[Tensor], Any]] = {
        "bernoulli": lambda eta: torch.distributions.Bernoulli(logits=eta),
        "binomial": lambda eta: torch.distributions.Binomial(likelihood.trials, logits=eta),  # type: ignore[attr-defined]
        "poisson": lambda eta: torch.distributions.Poisson(torch.exp(eta)),
        "negative_binomial": lambda eta: _negative_binomial(eta, float(likelihood.settings["dispersion"])),
    }
    return lambda eta: laws[likelihood.name](eta).log_prob(y)


def _negative_binomial(eta: Tensor, dispersion: float) -> Any:
    count = 1.0 / dispersion
    return torch.distributions.NegativeBinomial(count, logits=eta - math.log(count))


def _quadrature(
    problem: GeneralisedProblem, gates: Tensor, log_density: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Log evidence and moments of a model by a grid of Gauss and Hermite about its mode."""
    k, held = problem.num_unpenalised, gates[problem.groups].bool()
    columns = torch.cat([problem.unpenalised, problem.x[:, held]], 1)
    scale = torch.cat([problem.unpenalised_scale, problem.slab_scale[held]])
    moments = torch.zeros(2, problem.num_columns, dtype=torch.float64)

    def log_joint(beta: Tensor) -> Tensor:
        likelihood = log_density(problem.offset + beta @ columns.T) @ problem.weights
        normal = -0.5 * (beta / scale).square() - scale.log() - 0.5 * math.log(2.0 * math.pi)
        return likelihood + normal.sum(-1)

    d = len(scale)
    if not d:
        return log_joint(torch.zeros(0, dtype=torch.float64)), moments[0], moments[1]
    mode, factor = _mode(log_joint, d)
    line, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(_HERMITE_NODES))
    grid = torch.cartesian_prod(*[line] * d).reshape(-1, d)
    log_weights = torch.cartesian_prod(*[weights.log()] * d).reshape(-1, d).sum(1)
    beta = mode + grid @ factor.T
    value = log_joint(beta) + log_weights + 0.5 * grid.square().sum(1) + factor.diagonal().log().sum()
    share = torch.softmax(value, 0)
    moments[0, held], moments[1, held] = (share @ beta)[k:], (share @ beta.square())[k:]
    return torch.logsumexp(value, 0), moments[0], moments[1]


def _mode(log_joint: Callable[[Tensor], Tensor], size: int) -> tuple[Tensor, Tensor]:
    """The mode, by Newton's method, and a factor of the inverse of the negative Hessian there."""
    beta = torch.zeros(size, dtype=torch.float64)
    with torch.enable_grad():
        for _ in range(_NEWTON_STEPS):
            slope = torch.func.grad(log_joint)(beta)
            curvature = -torch.func.jacrev(torch.func.grad(log_joint))(beta)
            step = torch.linalg.solve(curvature, slope)
            beta = beta + step / max(1.0, float(step.abs().max()))
            if float(step.abs().max()) < 1e-9:
                break
    return beta.detach(), torch.linalg.cholesky(torch.linalg.inv(curvature)).detach()
