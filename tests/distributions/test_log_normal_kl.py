"""KL divergences from the log-normal to scale priors, against quadrature of SciPy's densities."""

import math

import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch.distributions import kl_divergence

import l0bayes.distributions  # noqa: F401  (registers the divergences)
from l0bayes.testing.gate_law_case import close
from l0bayes.testing.gate_law_reference import integrate

PRIORS = {
    "Gamma": (dist.Gamma, (2.5, 0.7), stats.gamma(2.5, scale=1 / 0.7)),
    "InverseGamma": (dist.InverseGamma, (2.5, 0.7), stats.invgamma(2.5, scale=0.7)),
    "Exponential": (dist.Exponential, (0.7,), stats.expon(scale=1 / 0.7)),
    "HalfNormal": (dist.HalfNormal, (1.7,), stats.halfnorm(scale=1.7)),
}


def double(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]


@pytest.mark.parametrize(("loc", "scale"), [(0.3, 0.1), (-1.0, 0.6), (0.5, 1.2)])
@pytest.mark.parametrize("name", PRIORS)
def test_kl(name: str, loc: float, scale: float) -> None:
    """In x = exp(loc + scale t), t standard normal; 12 standard deviations leave out 1e-30."""
    kind, parameters, reference = PRIORS[name]
    q = stats.lognorm(scale, scale=math.exp(loc))

    def gain(t: float) -> float:
        x = math.exp(loc + scale * t)
        return stats.norm.pdf(t) * (q.logpdf(x) - reference.logpdf(x))

    actual = kl_divergence(dist.LogNormal(*double(loc, scale)), kind(*double(*parameters)))
    close(actual, integrate(gain, -12.0, 12.0))


@pytest.mark.parametrize("name", PRIORS)
def test_gradient(name: str) -> None:
    kind, parameters, _ = PRIORS[name]

    def kl(loc: torch.Tensor, scale: torch.Tensor, *prior: torch.Tensor) -> torch.Tensor:
        return kl_divergence(dist.LogNormal(loc, scale), kind(*prior))

    assert torch.autograd.gradcheck(kl, double(0.3, 0.5, *parameters), eps=1e-6)


@pytest.mark.parametrize("name", PRIORS)
def test_kl_has_the_batch_shape(name: str) -> None:
    kind, parameters, _ = PRIORS[name]
    prior = kind(*(torch.full((2,), value) for value in parameters))
    q = dist.LogNormal(torch.zeros(3, 1), torch.ones(3, 1))
    assert kl_divergence(q, prior).shape == (3, 2)
    assert kl_divergence(q.expand((3, 2)).to_event(1), prior.expand((3, 2)).to_event(1)).shape == (3,)
