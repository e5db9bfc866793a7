"""KL divergences from the Normal to the heavy-tailed slab priors, against quadrature of SciPy's densities."""

import itertools

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from torch.distributions import kl_divergence

from l0bayes.distributions import GatedSlab
from l0bayes.testing.gate_law_case import close

PRIORS = {
    "StudentT": (dist.StudentT, (3.0, 0.2, 0.8), lambda df, loc, scale: stats.t(df, loc, scale)),
    "Cauchy-like": (dist.StudentT, (1.0, 0.0, 1.3), lambda df, loc, scale: stats.t(df, loc, scale)),
    "Laplace": (dist.Laplace, (0.2, 0.8), lambda loc, scale: stats.laplace(loc, scale)),
}


def double(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]


@pytest.mark.parametrize(
    ("loc", "scale", "tolerance"),
    [(0.3, 0.1, 1e-10), (-2.0, 0.6, 1e-10), (9.0, 1.0, 1e-10), (0.1, 3.0, 1e-5)],
)
@pytest.mark.parametrize("name", PRIORS)
def test_kl(name: str, loc: float, scale: float, tolerance: float) -> None:
    kind, parameters, reference = PRIORS[name]
    q, p = stats.norm(loc, scale), reference(*parameters)
    edges = np.unique(np.concatenate([np.linspace(loc - 10 * scale, loc + 10 * scale, 41), [0.0, 0.2]]))
    edges = edges[abs(edges - loc) <= 10 * scale]
    wanted = sum(
        quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), a, b, epsabs=1e-14)[0]
        for a, b in itertools.pairwise(edges)
    )
    close(kl_divergence(dist.Normal(*double(loc, scale)), kind(*double(*parameters))), wanted, tolerance)


@pytest.mark.parametrize("name", PRIORS)
def test_gradient(name: str) -> None:
    kind, parameters, _ = PRIORS[name]

    def kl(loc: torch.Tensor, scale: torch.Tensor, *prior: torch.Tensor) -> torch.Tensor:
        return kl_divergence(dist.Normal(loc, scale), kind(*prior))

    assert torch.autograd.gradcheck(kl, double(0.35, 0.5, *parameters), eps=1e-6)


@pytest.mark.parametrize("name", PRIORS)
def test_kl_has_the_batch_shape_and_weight(name: str) -> None:
    kind, parameters, _ = PRIORS[name]
    prior = kind(*(torch.full((2,), value) for value in parameters))
    q = dist.Normal(torch.zeros(3, 1), torch.ones(3, 1))
    kl = kl_divergence(q, prior)
    assert kl.shape == (3, 2)
    activity = torch.tensor([0.0, 0.7])
    gated = kl_divergence(GatedSlab(q.expand((3, 2)), activity), prior.expand((3, 2)))
    torch.testing.assert_close(gated, activity * kl)
