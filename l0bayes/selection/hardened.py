r"""The ELBO of factorised posteriors with binary gates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.distributions.numerics import bernoulli_entropy, bernoulli_kl
from l0bayes.selection.glm_problem import GLMProblem
from l0bayes.selection.gram import Gram
from l0bayes.selection.problem import InclusionPrior, InverseGamma, LinearProblem

__all__ = ["Factors", "Hardened", "gate_kl", "hardened_elbos"]

_DRAWS = 500


@dataclass(frozen=True)
class Factors:
    r"""Mean-field posteriors, one a row.

    Attributes:
        logits: Logit of the probability of an open gate, shape ``(R, G)``.
        mean: Mean of every slab, shape ``(R, p)``.
        sd: Its standard deviation.
        always_mean: Mean of every coefficient without a gate, shape ``(R, k)``.
        always_sd: Its standard deviation.
    """

    logits: Tensor
    mean: Tensor
    sd: Tensor
    always_mean: Tensor
    always_sd: Tensor


@dataclass(frozen=True)
class Hardened:
    r"""Bounds with what they were taken at.

    Attributes:
        elbo: Of every row of the factors, in nats, shape ``(R,)``.
        standard_error: Its Monte Carlo error, 0 where it is exact, shape ``(R,)``.
        noise: a' and b' of the optimal :math:`\sigma^2 \sim \mathrm{InverseGamma}(a', b')`, shape ``(R, 2)``;
            ``None`` for a known noise.
    """

    elbo: Tensor
    standard_error: Tensor
    noise: Tensor | None = None


def hardened_elbos(problem: LinearProblem, gram: Gram, factors: Factors) -> Hardened:
    r"""Lower bounds on the log evidence of the strict spike and slab.

    For a Gaussian problem in closed form, an unknown noise under its optimal law; otherwise the
    likelihood is averaged over 500 draws.

    Args:
        problem: The problem.
        gram: Its second moments; not needed for a generalised linear model.
        factors: The posteriors.
    """
    q = torch.sigmoid(factors.logits)[:, problem.groups]
    square = factors.mean.square() + factors.sd.square()
    slab = square / problem.slab_scale.square()
    cost = q * (problem.slab_scale.log() - factors.sd.log() - 0.5)
    always = _always_kl(problem, factors)
    kl = gate_kl(problem.prior, factors.logits) + cost.sum(1) + always
    quadratic = 0.5 * (q * slab).sum(1)
    if isinstance(problem, GLMProblem):
        likelihood, error = _expected_log_likelihood(problem, factors, q)
        return Hardened(likelihood - kl - quadratic, error)
    squares = _expected_squares(problem, gram, factors, q)
    n = problem.num_observations
    weights = 0.0 if problem.weights_are_counts else 0.5 * torch.log(problem.weights).sum()
    constant = weights - 0.5 * n * math.log(2.0 * math.pi)
    exponent = 0.5 * n + (0.5 * q.sum(1) if problem.slab_scaled_by_noise else q.new_zeros(len(q)))
    rate = 0.5 * squares + (quadratic if problem.slab_scaled_by_noise else 0.0)
    elbo = constant - kl - (0.0 if problem.slab_scaled_by_noise else quadratic)
    if not isinstance(problem.noise, InverseGamma):
        variance = float(problem.noise) ** 2
        return Hardened(elbo - exponent * math.log(variance) - rate / variance, torch.zeros_like(elbo))
    a, b = problem.noise.shape, problem.noise.rate
    shape, scale = a + exponent, b + rate
    at_start = a * math.log(b) - math.lgamma(a)
    elbo = elbo + at_start - shape * torch.log(scale) + torch.lgamma(shape)
    return Hardened(elbo, torch.zeros_like(elbo), torch.stack([shape, scale], 1))


def _always_kl(problem: LinearProblem, factors: Factors) -> Tensor:
    """Of the coefficients without a gate; a flat prior counts as the density that evidences count it as."""
    scale = problem.always_scale
    flat = torch.isinf(scale)
    log_scale = torch.where(flat, 0.0, torch.where(flat, 1.0, scale).log())
    square = (factors.always_mean.square() + factors.always_sd.square()) / scale.square()
    return (log_scale - factors.always_sd.log() - 0.5 + 0.5 * square).sum(1)


def _expected_squares(problem: LinearProblem, gram: Gram, factors: Factors, q: Tensor) -> Tensor:
    k = problem.always.shape[1]
    mean = torch.cat([factors.always_mean, q * factors.mean], 1)
    variance = torch.cat([factors.always_sd.square(), q * factors.sd.square()], 1)
    fitted = gram.square - 2.0 * mean @ gram.vector + ((mean @ gram.matrix) * mean).sum(1)
    # A gate is shared: its own spread moves all columns of its group together.
    spread = torch.sqrt(q * (1.0 - q)) * factors.mean
    together = problem.groups[:, None] == problem.groups
    inner = torch.where(together, gram.matrix[k:, k:], 0.0)
    return fitted + variance @ gram.matrix.diagonal() + ((spread @ inner) * spread).sum(1)


def _expected_log_likelihood(problem: GLMProblem, factors: Factors, q: Tensor) -> tuple[Tensor, Tensor]:
    shape = (_DRAWS, *factors.logits.shape)
    gates = (torch.rand(shape, dtype=q.dtype) < torch.sigmoid(factors.logits)).to(q.dtype)
    slabs = factors.mean + factors.sd * torch.randn(_DRAWS, *factors.mean.shape, dtype=q.dtype)
    always = factors.always_mean + factors.always_sd * torch.randn(
        _DRAWS, *factors.always_mean.shape, dtype=q.dtype
    )
    values = []
    for row in range(len(q)):
        eta = problem.offset + always[:, row] @ problem.always.T
        eta = eta + (gates[:, row, problem.groups] * slabs[:, row]) @ problem.x.T
        values.append(problem.likelihood.log_density(problem.y, eta) @ problem.weights)
    drawn = torch.stack(values)
    return drawn.mean(1), drawn.std(1) / math.sqrt(_DRAWS)


def gate_kl(prior: InclusionPrior, logits: Tensor) -> Tensor:
    r"""KL of independent Bernoulli gates from their prior; under a Beta prior with π's law at its optimum.

    The latter leaves :math:`-H(q) - \log B(a + S, b + G - S) + \log B(a, b)` with S the expected number of
    open gates.

    Args:
        prior: The prior.
        logits: Shape ``(..., G)``.
    """
    if prior.log_odds is not None:
        return bernoulli_kl(logits, prior.log_odds.to(logits)).sum(-1)
    assert prior.beta is not None
    a, b = (logits.new_tensor(value) for value in prior.beta)
    size, total = torch.sigmoid(logits).sum(-1), logits.shape[-1]
    normaliser = torch.lgamma(a + size) + torch.lgamma(b + total - size) - torch.lgamma(a + b + total)
    at_start = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    return at_start - normaliser - bernoulli_entropy(logits).sum(-1)
