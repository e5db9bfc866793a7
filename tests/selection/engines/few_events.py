"""Data with few events, with posteriors on a fine grid: one gated column, an intercept, what is learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l0bayes.likelihoods import Binomial, Cox, NegativeBinomial, Poisson, StudentT
from l0bayes.selection import GeneralisedProblem, InclusionPrior, LearnedProblem
from tests.likelihoods.naive_cox import partial_log_likelihood

DOUBLE = torch.float64


def _line(low: float, high: float, count: int) -> Tensor:
    return torch.linspace(low, high, count, dtype=DOUBLE)


def _normal(value: Tensor, scale: float) -> Tensor:
    return -0.5 * (value / scale).square() - math.log(scale) - 0.5 * math.log(2.0 * math.pi)


def _rows(kind: str):
    """Column, response, slab: the last row alone has events, or the rows of a rare level have none."""
    if kind.startswith("rare"):
        x = torch.cat([torch.zeros(196), torch.ones(4)]).to(DOUBLE)
        y = torch.cat([torch.ones(20), torch.zeros(180)]).to(DOUBLE)
    else:
        x = torch.arange(12, dtype=DOUBLE)
        y = torch.zeros(12, dtype=DOUBLE)
        y[-1], y[-3] = 2.0, 1.0
    return (x - x.mean()) / x.std(correction=0), y


def _common(x: Tensor, slab: float, intercept: bool = True) -> dict:
    n = len(x)
    parts = {"x": x[:, None], "prior": InclusionPrior(beta=(1.0, 1.0))}
    parts["slab_scale"] = torch.tensor([slab], dtype=DOUBLE)
    if intercept:
        parts |= {
            "unpenalised": torch.ones(n, 1, dtype=DOUBLE),
            "unpenalised_scale": torch.tensor([10.0], dtype=DOUBLE),
        }
    return parts


class Case:
    """A problem with what a grid says of it.

    ``log_density(alpha, beta, *learned)`` is the log joint density, all on one grid; β is off in the null.
    """

    def __init__(self, problem, lines, log_density, slab):
        self.problem = problem
        *others, beta = torch.meshgrid(*lines, indexing="ij")
        prior = _normal(beta, slab)
        cell = sum(math.log(line[1] - line[0]) for line in lines)
        with_it = log_density(*others, beta) + prior
        null = [value[..., 0] for value in others]
        cell_of_null = cell - math.log(lines[-1][1] - lines[-1][0])
        without = log_density(*null, torch.zeros_like(null[0]) if null else torch.zeros((), dtype=DOUBLE))
        one = float(with_it.flatten().logsumexp(0)) + cell
        none = float(without.flatten().logsumexp(0)) + cell_of_null
        self.pip = 1.0 / (1.0 + math.exp(none - one))
        self.log_evidence = math.log(0.5) + float(torch.tensor([one, none]).logsumexp(0))
        self.weights = with_it.flatten().softmax(0)
        self.of_null = without.flatten().softmax(0)
        self.beta, self.alpha = beta.flatten(), others[0].flatten() if others else None
        self.alpha_of_null = null[0].flatten() if others else None
        self.conditional_mean = float(self.weights @ self.beta)
        self.conditional_sd = float((self.weights @ (self.beta - self.conditional_mean).square()).sqrt())

    def mean_of(self, function, x: float) -> float:
        """Posterior mean of a function of the predictor at a value of the column."""
        with_it = float(self.weights @ function(self.alpha + x * self.beta))
        return self.pip * with_it + (1 - self.pip) * float(self.of_null @ function(self.alpha_of_null))


def poisson(kind: str = "few", slab: float = 5.0) -> Case:
    x, y = _rows(kind)
    problem = GeneralisedProblem(y=y, **_common(x, slab), likelihood=Poisson())
    values, counts = torch.unique(torch.stack([x, y], 1), dim=0, return_counts=True)

    def density(alpha, beta):
        total = _normal(alpha, 10.0)
        for (a, b), count in zip(values, counts, strict=True):
            eta = alpha + a * beta
            total = total + count * (b * eta - eta.exp() - torch.lgamma(b + 1))
        return total

    return Case(problem, [_line(-40.0, 12.0, 701), _line(-32.0, 32.0, 701)], density, slab)


def binomial(kind: str = "few", slab: float = 5.0) -> Case:
    x, y = _rows(kind)
    problem = GeneralisedProblem(y=y, **_common(x, slab), likelihood=Binomial(3))
    values, counts = torch.unique(torch.stack([x, y], 1), dim=0, return_counts=True)

    def density(alpha, beta):
        total = _normal(alpha, 10.0)
        for (a, b), count in zip(values, counts, strict=True):
            law = torch.distributions.Binomial(3, logits=alpha + a * beta)
            total = total + count * law.log_prob(b)
        return total

    return Case(problem, [_line(-40.0, 12.0, 701), _line(-32.0, 32.0, 701)], density, slab)


def negative_binomial(slab: float = 2.5) -> Case:
    x, y = _rows("few")
    problem = LearnedProblem(y=y, **_common(x, slab), likelihood=NegativeBinomial())

    def density(alpha, log_dispersion, beta):
        total = _normal(alpha, 10.0) + log_dispersion - log_dispersion.exp()
        r = torch.exp(-log_dispersion)
        for a, b in zip(x, y, strict=True):
            law = torch.distributions.NegativeBinomial(r, logits=alpha + a * beta + log_dispersion)
            total = total + law.log_prob(b)
        return total

    lines = [_line(-40.0, 15.0, 181), _line(-12.0, 4.0, 41), _line(-14.0, 14.0, 121)]
    return Case(problem, lines, density, slab)


def student_t() -> Case:
    """Two groups of rows far apart, of which noise with heavy tails may ignore either."""
    x = torch.tensor([0.3, -1.2, 0.8, 0.1, -0.4, 1.5, -0.9, -0.2], dtype=DOUBLE)
    y = torch.tensor([-1.1, -1.3, -1.2, -1.25, 1.2, 1.35, 1.25, 1.15], dtype=DOUBLE)
    law = StudentT(noise_prior=(0.5, 0.1), df=4.0)
    problem = LearnedProblem(y=y, **_common(x, 1.0), likelihood=law)
    noise = torch.distributions.InverseGamma(*torch.tensor([0.5, 0.1], dtype=DOUBLE))

    def density(alpha, log_variance, beta):
        total = _normal(alpha, 10.0) + noise.log_prob(log_variance.exp()) + log_variance
        for a, b in zip(x, y, strict=True):
            total = total + torch.distributions.StudentT(
                4.0, alpha + a * beta, (0.5 * log_variance).exp()
            ).log_prob(b)
        return total

    lines = [_line(-6.0, 6.0, 161), _line(-9.0, 5.0, 71), _line(-6.0, 6.0, 161)]
    return Case(problem, lines, density, 1.0)


def cox(slab: float = 5.0) -> Case:
    """Of the rows at risk that with the largest column has each event."""
    x = torch.tensor([2.0, 1.5, 0.2, -0.3, -0.1, -0.5, -0.2, -0.6, -0.4, -1.6], dtype=DOUBLE)
    time = torch.arange(1, 11, dtype=DOUBLE)
    event = (time <= 2).to(DOUBLE)
    y = torch.stack([time, event], 1)
    problem = GeneralisedProblem(y=y, **_common(x, slab, intercept=False), likelihood=Cox())
    weights = torch.ones(10, dtype=DOUBLE)

    def density(beta):
        return partial_log_likelihood(beta[..., None] * x, y, weights)

    return Case(problem, [_line(-30.0, 60.0, 20001)], density, slab)
