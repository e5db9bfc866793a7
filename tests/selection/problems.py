"""Problems of known answer: dense Gaussian marginals of every model, written apart from the engines."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from l0bayes.selection import GaussianProblem, InclusionPrior, InverseGamma

DOUBLE = torch.float64


def design(kind: str, n: int, p: int, seed: int) -> tuple[Tensor, Tensor]:
    """Columns of a kind and a response with three signals among them (none where it is null)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator, dtype=DOUBLE)
    if kind == "blocks":
        shared = torch.randn(n, (p + 3) // 4, generator=generator, dtype=DOUBLE).repeat_interleave(4, 1)
        x = math.sqrt(0.9) * shared[:, :p] + math.sqrt(0.1) * x
    if kind == "duplicates":
        x[:, 1] = x[:, 0] + 0.05 * x[:, 1]
        x[:, 3] = x[:, 2] + 0.01 * x[:, 3]
    if kind == "suppressor":
        x[:, 1] = -x[:, 0] + 0.3 * x[:, 1]
    beta = torch.zeros(p, dtype=DOUBLE)
    if kind != "null":
        beta[[0, 2, 4]] = torch.tensor([1.0, -1.0, 0.7], dtype=DOUBLE)
    if kind == "suppressor":
        beta[1] = 0.8
    return x, x @ beta + torch.randn(n, generator=generator, dtype=DOUBLE)


def problem(
    kind: str = "independent", n: int = 40, p: int = 6, seed: int = 0, **changes: Any
) -> GaussianProblem:
    x, y = design(kind, n, p, seed)
    groups = int(changes["groups"].max()) + 1 if "groups" in changes else p
    settings: dict[str, Any] = {
        "prior": InclusionPrior(log_odds=torch.full((groups,), -1.0, dtype=DOUBLE)),
        "slab_scale": torch.full((p,), 1.2, dtype=DOUBLE),
        "noise": 1.0,
    }
    return GaussianProblem(x, y, **{**settings, **changes})


def everything(p: int, n: int) -> dict[str, Any]:
    """All that a problem may have beside its columns."""
    generator = torch.Generator().manual_seed(99)
    return {
        "unpenalised": torch.cat(
            [torch.ones(n, 1, dtype=DOUBLE), torch.randn(n, 1, generator=generator, dtype=DOUBLE)], 1
        ),
        "unpenalised_scale": torch.tensor([5.0, 0.5], dtype=DOUBLE),
        "offset": 0.3 * torch.randn(n, generator=generator, dtype=DOUBLE),
        "weights": 0.5 + torch.rand(n, generator=generator, dtype=DOUBLE),
        "slab_scale": 0.5 + torch.rand(p, generator=generator, dtype=DOUBLE),
    }


def brute_force(given: GaussianProblem, nodes: int = 601) -> dict[str, Tensor]:
    """Evidence, PIPs and first two moments by dense n by n covariances and a fine grid over the noise."""
    n = given.num_rows
    models = torch.tensor(list(itertools.product([0.0, 1.0], repeat=given.num_groups)), dtype=DOUBLE)
    if isinstance(given.noise, InverseGamma):
        t = torch.linspace(-15.0, 15.0, nodes, dtype=DOUBLE)
        a, b = given.noise.shape, given.noise.rate
        log_prior = a * math.log(b) - math.lgamma(a) - a * t - b * torch.exp(-t)
        log_weight = log_prior + math.log(float(t[1] - t[0]))
    else:
        t = torch.tensor([2.0 * math.log(given.noise)], dtype=DOUBLE)
        log_weight = torch.zeros(1, dtype=DOUBLE)
    variances = t.exp()[:, None, None]
    response = given.y - given.offset
    fixed = (given.unpenalised * given.unpenalised_scale.square()) @ given.unpenalised.T
    rows, means, seconds = [], [], []
    for gates in models:
        prior_variance = gates[given.groups] * given.slab_scale.square()
        loading = given.x * prior_variance
        scale = variances if given.slab_scaled_by_noise else torch.ones_like(variances)
        covariance = variances * torch.diag(1.0 / given.weights) + scale * (loading @ given.x.T) + fixed
        factor = torch.linalg.cholesky(covariance)
        white = torch.linalg.solve_triangular(factor, response[:, None].expand(len(t), n, 1), upper=False)
        log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        log_density = -0.5 * n * math.log(2 * math.pi) - log_det - 0.5 * white.square().sum((1, 2))
        rows.append(log_density + log_weight + given.prior.log_prob(gates))
        half = torch.linalg.solve_triangular(factor, scale * loading, upper=False)
        mean = (half.mT @ white)[..., 0]
        means.append(mean)
        seconds.append(mean.square() + scale[..., 0] * prior_variance - half.square().sum(1))
    table = torch.stack(rows)
    total = torch.logsumexp(table.flatten(), 0)
    weight = (table - total).exp()
    by_model = weight.sum(1)
    return {
        "log_evidence": total,
        "pip": by_model @ models,
        "mean": (weight[..., None] * torch.stack(means)).sum((0, 1)),
        "second": (weight[..., None] * torch.stack(seconds)).sum((0, 1)),
        "joint": models.T @ (models * by_model[:, None]),
        "size": torch.zeros(given.num_groups + 1, dtype=DOUBLE).index_add_(0, models.sum(1).long(), by_model),
    }
