r"""Factorised posteriors with binary gates: their ELBO, and the joint density of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import singledispatch

import torch
from torch import Tensor

from l0bayes.distributions.numerics import bernoulli_entropy, bernoulli_kl
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["Factors", "Hardened", "JointDraws", "expected_squares", "gate_kl", "hardened_elbos", "log_joint"]

_DRAWS = 500


@dataclass(frozen=True)
class Factors:
    r"""Mean-field posteriors, one a row.

    Attributes:
        logits: Logit of the probability of an open gate, shape ``(R, G)``.
        mean: Mean of every slab, shape ``(R, p)``.
        sd: Its standard deviation.
        unpenalised_mean: Mean of every coefficient without a gate, shape ``(R, k)``.
        unpenalised_sd: Its standard deviation.
    """

    logits: Tensor
    mean: Tensor
    sd: Tensor
    unpenalised_mean: Tensor
    unpenalised_sd: Tensor

    def rows(self, index: Tensor) -> Factors:
        """Some of the rows.

        Args:
            index: Their numbers.
        """
        return Factors(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class JointDraws:
    r"""Joint draws of gates and coefficients.

    Attributes:
        gates: Zeros and ones, shape ``(S, G)``.
        beta: Coefficients, 0 behind shut gates, shape ``(S, p)``.
        unpenalised: Coefficients without a gate, shape ``(S, k)``.
    """

    gates: Tensor
    beta: Tensor
    unpenalised: Tensor


@dataclass(frozen=True)
class Hardened:
    r"""Lower bounds on the log evidence, with the law of the noise that attains them.

    Attributes:
        elbo: Of every row of the factors, in nats, shape ``(R,)``.
        standard_error: Its Monte Carlo error, 0 where it is exact, shape ``(R,)``.
        noise: a' and b' of the optimal :math:`\sigma^2 \sim \mathrm{InverseGamma}(a', b')`, shape ``(R, 2)``;
            ``None`` for a known noise.
    """

    elbo: Tensor
    standard_error: Tensor
    noise: Tensor | None = None


def hardened_elbos(problem: SelectionProblem, factors: Factors) -> Hardened:
    r"""Lower bounds on the log evidence of the strict spike and slab.

    For a Gaussian problem in closed form, an unknown noise under its optimal law; otherwise the
    likelihood is averaged over 500 draws.

    Args:
        problem: The problem.
        factors: The posteriors.
    """
    q = torch.sigmoid(factors.logits)[:, problem.groups]
    square = factors.mean.square() + factors.sd.square()
    slab = square / problem.slab_scale.square()
    cost = q * (problem.slab_scale.log() - factors.sd.log() - 0.5)
    unpenalised = _unpenalised_kl(problem, factors)
    kl = gate_kl(problem.prior, factors.logits) + cost.sum(1) + unpenalised
    likelihood = _expected_log_likelihood(problem, factors, 0.5 * (q * slab).sum(1))
    return replace(likelihood, elbo=likelihood.elbo - kl)


@singledispatch
def _expected_log_likelihood(problem: SelectionProblem, factors: Factors, quadratic: Tensor) -> Hardened:
    """Expected log likelihood, less ``quadratic``, half the expected squares of slabs in their scales."""
    raise TypeError(f"there is no variational bound for a {type(problem).__name__}")


@_expected_log_likelihood.register
def _(problem: GaussianProblem, factors: Factors, quadratic: Tensor) -> Hardened:
    q = torch.sigmoid(factors.logits)[:, problem.groups]
    likelihood, noise = _over_noise(problem, expected_squares(problem, factors), quadratic, q.sum(1))
    return Hardened(likelihood, torch.zeros_like(likelihood), noise)


@_expected_log_likelihood.register
def _(problem: GeneralisedProblem, factors: Factors, quadratic: Tensor) -> Hardened:
    q = torch.sigmoid(factors.logits)
    gates = (torch.rand((_DRAWS, *q.shape), dtype=q.dtype) < q).to(q.dtype)
    slabs = factors.mean + factors.sd * torch.randn(_DRAWS, *factors.mean.shape, dtype=q.dtype)
    unpenalised = factors.unpenalised_mean + factors.unpenalised_sd * torch.randn(
        _DRAWS, *factors.unpenalised_mean.shape, dtype=q.dtype
    )
    values = []
    for row in range(len(q)):
        eta = problem.offset + unpenalised[:, row] @ problem.unpenalised.T
        eta = eta + (gates[:, row, problem.groups] * slabs[:, row]) @ problem.x.T
        values.append(problem.likelihood.log_density(problem.y, eta) @ problem.weights)
    drawn = torch.stack(values)
    return Hardened(drawn.mean(1) - quadratic, drawn.std(1) / math.sqrt(_DRAWS))


def _over_noise(
    problem: GaussianProblem, squares: Tensor, quadratic: Tensor, size: Tensor
) -> tuple[Tensor, Tensor | None]:
    r"""Gaussian likelihood times the exponential of the slabs' prior, the noise integrated out.

    .. math:: \log \int p(\sigma^2)\, (2\pi)^{-n/2} (\sigma^2)^{-n/2 - s/2}
        e^{-(\mathrm{RSS}/2 + Q)/\sigma^2}\, d\sigma^2

    with s and Q of slabs in units of the noise; slabs of fixed scale only add -Q outside of the integral.
    With expected squares instead of squares the result is the bound with σ² under its optimal law, which is
    returned too.

    Args:
        problem: The problem, Gaussian.
        squares: RSS, the weighted residual sum of squares, any shape.
        quadratic: Q, half the sum of squares of open slabs over those of their scales.
        size: s, the number of columns behind open gates.
    """
    n = problem.num_observations
    weights = 0.0 if problem.weights_are_counts else float(0.5 * torch.log(problem.weights).sum())
    value = (weights - 0.5 * n * math.log(2.0 * math.pi)) * torch.ones_like(squares)
    exponent, rate = 0.5 * n * torch.ones_like(squares), 0.5 * squares
    if problem.slab_scaled_by_noise:
        exponent, rate = exponent + 0.5 * size, rate + quadratic
    else:
        value = value - quadratic
    if problem.noise_prior is None:
        variance = problem.noise_variance
        return value - exponent * math.log(variance) - rate / variance, None
    a, b = problem.noise_prior.shape, problem.noise_prior.rate
    shape, scale = a + exponent, b + rate
    value = value + problem.noise_prior.log_constant - shape * torch.log(scale) + torch.lgamma(shape)
    return value, torch.stack([shape, scale], -1)


def _unpenalised_kl(problem: SelectionProblem, factors: Factors) -> Tensor:
    """KL divergence of the unpenalised coefficients; a flat prior has the density that evidences give it."""
    scale = problem.unpenalised_scale
    flat = torch.isinf(scale)
    log_scale = torch.where(flat, 0.0, torch.where(flat, 1.0, scale).log())
    square = (factors.unpenalised_mean.square() + factors.unpenalised_sd.square()) / scale.square()
    return (log_scale - factors.unpenalised_sd.log() - 0.5 + 0.5 * square).sum(1)


def expected_squares(problem: GaussianProblem, factors: Factors) -> Tensor:
    r"""Expected weighted residual sum of squares :math:`E_q \sum_i w_i (y_i - \eta_i)^2`, shape ``(R,)``.

    Args:
        problem: The problem.
        factors: The posteriors.
    """
    gram, k = problem.gram, problem.num_unpenalised
    q = torch.sigmoid(factors.logits)[:, problem.groups]
    mean = torch.cat([factors.unpenalised_mean, q * factors.mean], 1)
    variance = torch.cat([factors.unpenalised_sd.square(), q * factors.sd.square()], 1)
    fitted = gram.square - 2.0 * mean @ gram.vector + ((mean @ gram.matrix) * mean).sum(1)
    diagonal = gram.matrix.diagonal()
    spread = torch.sqrt(q * (1.0 - q)) * factors.mean
    if factors.logits.shape[1] == factors.mean.shape[1]:
        moved = spread.square() @ diagonal[k:]
    else:  # the variance of a shared gate moves all columns of its group together
        together = problem.groups[:, None] == problem.groups
        moved = ((spread @ torch.where(together, gram.matrix[k:, k:], 0.0)) * spread).sum(1)
    return fitted + variance @ diagonal + moved


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
    return -prior.log_prob(torch.sigmoid(logits)) - bernoulli_entropy(logits).sum(-1)


def log_joint(problem: SelectionProblem, draws: JointDraws) -> Tensor:
    r"""Log density of the response with gates and coefficients; noise and π are integrated out.

    .. math:: \log p(y, \gamma, \beta, \alpha) = \log p(\gamma) + \sum_k \log N(\alpha_k; 0, t_k^2)
        + \log \int p(\sigma^2)\, p(y \mid \beta, \alpha, \sigma^2)
        \prod_{j:\gamma_{g(j)} = 1} N(\beta_j; 0, s_j^2\;[\sigma^2])\, d\sigma^2

    with respect to a point mass at 0 for coefficients behind shut gates and to Lebesgue measure for others. A
    flat prior of :math:`\alpha_k` has the density that evidences give it; a generalised linear model has no
    noise.

    Args:
        problem: The problem.
        draws: S points.

    Returns:
        Shape ``(S,)``.
    """
    opened = draws.gates[:, problem.groups]
    quadratic = 0.5 * (draws.beta / problem.slab_scale).square().sum(1)
    half = 0.5 * math.log(2.0 * math.pi)
    flat = torch.isinf(problem.unpenalised_scale)
    fixed = torch.where(flat, 1.0, problem.unpenalised_scale).log() + half
    prior = problem.prior.log_prob(draws.gates) - opened @ (problem.slab_scale.log() + half) - fixed.sum()
    prior = prior - 0.5 * (draws.unpenalised / problem.unpenalised_scale).square().sum(1)
    return prior + _log_likelihood(problem, draws, quadratic)


@singledispatch
def _log_likelihood(problem: SelectionProblem, draws: JointDraws, quadratic: Tensor) -> Tensor:
    """Log likelihood, less ``quadratic``, half the squares of slabs in their scales."""
    raise TypeError(f"there is no joint density for a {type(problem).__name__}")


@_log_likelihood.register
def _(problem: GaussianProblem, draws: JointDraws, quadratic: Tensor) -> Tensor:
    size = draws.gates[:, problem.groups].sum(1)
    return _over_noise(problem, _residual_squares(problem, draws), quadratic, size)[0]


@_log_likelihood.register
def _(problem: GeneralisedProblem, draws: JointDraws, quadratic: Tensor) -> Tensor:
    likelihood = problem.likelihood.log_density(problem.y, _predictor(problem, draws)) @ problem.weights
    return likelihood - quadratic


def _predictor(problem: SelectionProblem, draws: JointDraws) -> Tensor:
    return problem.offset + draws.unpenalised @ problem.unpenalised.T + draws.beta @ problem.x.T


def _residual_squares(problem: GaussianProblem, draws: JointDraws) -> Tensor:
    gram = problem.gram
    if problem.num_rows < len(gram.matrix):
        residual = problem.y - _predictor(problem, draws)
        return residual.square() @ problem.weights
    both = torch.cat([draws.unpenalised, draws.beta], 1)
    return gram.square - 2.0 * both @ gram.vector + ((both @ gram.matrix) * both).sum(1)
