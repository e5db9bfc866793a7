"""Generalised linear problems, and references that owe Laplace nothing but a proposal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l0bayes.likelihoods import Bernoulli, Binomial, Likelihood, NegativeBinomial, Poisson
from l0bayes.selection.kernels.elimination import all_models
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior

KINDS = ("bernoulli", "binomial", "poisson", "negative_binomial")


def make_problem(
    kind: str, n: int, p: int, *, seed: int = 0, correlation: float = 0.6, signals: int | None = None
) -> GeneralisedProblem:
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(n, p, generator=generator, dtype=torch.float64)
    common = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    x = math.sqrt(1.0 - correlation) * own + math.sqrt(correlation) * common
    signals = max(1, p // 3) if signals is None else signals
    beta = torch.zeros(p, dtype=torch.float64)
    beta[:signals] = torch.linspace(0.8, -0.5, signals, dtype=torch.float64)
    eta = -0.3 + x @ beta
    likelihood: Likelihood
    if kind == "bernoulli":
        y, likelihood = torch.bernoulli(torch.sigmoid(eta), generator=generator), Bernoulli()
    elif kind == "binomial":
        trials = 1.0 + torch.arange(n, dtype=torch.float64) % 5
        y = torch.binomial(trials, torch.sigmoid(eta), generator=generator)
        likelihood = Binomial(trials)
    elif kind == "poisson":
        y, likelihood = torch.poisson(torch.exp(0.5 * eta), generator=generator), Poisson()
    else:
        heads = torch.randn(n, 3, generator=generator, dtype=torch.float64).square().mean(1)
        y, likelihood = (
            torch.poisson(heads * torch.exp(0.5 * eta), generator=generator),
            NegativeBinomial(0.7),
        )
    return GeneralisedProblem(
        x=x,
        y=y,
        prior=InclusionPrior(log_odds=torch.full((p,), math.log(0.3 / 0.7), dtype=torch.float64)),
        slab_scale=torch.ones(p, dtype=torch.float64),
        unpenalised=torch.ones(n, 1, dtype=torch.float64),
        unpenalised_scale=torch.tensor([5.0], dtype=torch.float64),
        likelihood=likelihood,
    )


def log_joint(problem: GeneralisedProblem, columns: Tensor, beta: Tensor) -> Tensor:
    """Log of likelihood times prior at coefficients of shape (S, s) of the columns given by number."""
    everything = torch.cat([problem.unpenalised, problem.x], 1)[:, columns]
    tau = torch.cat([problem.unpenalised_scale, problem.slab_scale])[columns] ** -2
    eta = problem.offset + beta @ everything.T
    log_likelihood = problem.likelihood.log_density(problem.y, eta) @ problem.weights
    normal = 0.5 * torch.log(tau / (2.0 * math.pi)).sum() - 0.5 * (tau * beta.square()).sum(1)
    return log_likelihood + normal


def proposal(problem: GeneralisedProblem, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Near the mode, and a factor of a covariance; what is built on it is right for any other too."""
    everything = torch.cat([problem.unpenalised, problem.x], 1)[:, columns]
    tau = torch.cat([problem.unpenalised_scale, problem.slab_scale])[columns] ** -2
    beta = torch.zeros(len(columns), dtype=torch.float64)
    for _ in range(12):
        eta = problem.offset + everything @ beta
        _, first, second = problem.likelihood.derivatives(problem.y, eta, 2)
        hessian = torch.diag(tau) - everything.T @ (everything * (problem.weights * second)[:, None])
        step = torch.linalg.solve(hessian, everything.T @ (problem.weights * first) - tau * beta)
        beta = beta + step / max(1.0, float(step.abs().max()))
    return beta, torch.linalg.cholesky(torch.linalg.inv(hessian))


def by_grid(problem: GeneralisedProblem, columns: Tensor) -> tuple[float, Tensor, Tensor]:
    """Log evidence, mean and variance by the trapezoid rule, which is exact to rounding here."""
    mode, factor = proposal(problem, columns)
    line = torch.linspace(-9.0, 9.0, 61, dtype=torch.float64)
    grid = torch.cartesian_prod(*[line] * len(columns)).reshape(-1, len(columns))
    beta = mode + grid @ factor.T
    value = torch.cat([log_joint(problem, columns, some) for some in beta.split(4096)])
    cell = len(columns) * torch.log(line[1] - line[0]) + factor.diagonal().log().sum()
    weights = torch.softmax(value, 0)
    mean = weights @ beta
    return float(torch.logsumexp(value, 0) + cell), mean, weights @ (beta - mean).square()


def by_importance(problem: GeneralisedProblem, draws: int = 4_000) -> tuple[Tensor, Tensor, Tensor, float]:
    """PIPs, means, second moments and log evidence; every model by Student-t draws at its mode."""
    degrees = 6.0
    models = all_models(problem.num_groups).double()
    k, p = problem.unpenalised.shape[1], problem.num_columns
    generator = torch.Generator().manual_seed(1)
    evidence, means, seconds = (
        [],
        torch.zeros(len(models), k + p).double(),
        torch.zeros(len(models), k + p).double(),
    )
    for index, gates in enumerate(models):
        columns = torch.cat([torch.arange(k), k + gates[problem.groups].nonzero()[:, 0]])
        d = len(columns)
        mode, factor = proposal(problem, columns)
        normal = torch.randn(draws // 2, d, generator=generator, dtype=torch.float64)
        chi = torch.randn(draws // 2, int(degrees), generator=generator, dtype=torch.float64).square().sum(1)
        t = normal / torch.sqrt(chi / degrees)[:, None]
        t = torch.cat([t, -t])
        beta = mode + t @ factor.T
        log_q = (
            math.lgamma(0.5 * (degrees + d))
            - math.lgamma(0.5 * degrees)
            - 0.5 * d * math.log(degrees * math.pi)
            - factor.diagonal().log().sum()
            - 0.5 * (degrees + d) * torch.log1p(t.square().sum(1) / degrees)
        )
        ratio = torch.cat([log_joint(problem, columns, some) for some in beta.split(4000)]) - log_q
        evidence.append(torch.logsumexp(ratio, 0) - math.log(draws))
        means[index, columns] = torch.softmax(ratio, 0) @ beta
        seconds[index, columns] = torch.softmax(ratio, 0) @ beta.square()
    score = torch.stack(evidence) + problem.prior.log_prob(models)
    weights = torch.softmax(score, 0)
    total = float(torch.logsumexp(score, 0))
    return weights @ models, (weights @ means)[k:], (weights @ seconds)[k:], total
