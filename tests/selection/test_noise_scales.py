"""Priors of the noise that are averaged over by quadrature, against enumeration and a fine grid."""

import itertools
import math

import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.guides import AutoBernoulliGates
from l0bayes.selection.recognise.linear_model import NotLinearError

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(60, 3, generator=GENERATOR)
Y = 0.4 * X[:, 0] + 0.15 * X[:, 1] + 0.5 * torch.randn(60, generator=GENERATOR)


def model_of(prior, power=1.0, in_units=False):
    def model(x, y=None):
        s = pyro.sample("s", prior)
        sigma = s**power
        slab = dist.Normal(0.0, sigma if in_units else torch.tensor(0.8)).expand([3]).to_event(1)
        b = l0bayes.spike_and_slab("b", 0.3, slab)
        with pyro.plate("rows", len(x)):
            return pyro.sample("y", dist.Normal(x @ b, sigma), obs=y)

    return model


def exact(prior, power, in_units):
    """PIPs, log evidence and mean of s, all in float64."""
    x, y = X.double(), Y.double()
    s = torch.linspace(0.02, 4.0, 1500, dtype=torch.float64)
    step, sigma = float(s[1] - s[0]), s**power
    found = []
    for z in itertools.product((0.0, 1.0), repeat=3):
        part = x * torch.tensor(z, dtype=torch.float64)
        # In the basis of the part's own directions, so that every σ takes no more than sums.
        lengths, basis = torch.linalg.eigh(part @ part.T)
        slab = sigma**2 if in_units else torch.full_like(sigma, 0.64)
        variance = lengths.clamp(min=0.0) * slab[:, None] + sigma[:, None] ** 2
        logs = -0.5 * ((basis.T @ y) ** 2 / variance + variance.log() + math.log(2 * math.pi)).sum(1)
        size = sum(z)
        prior_gates = size * math.log(0.3) + (3 - size) * math.log(0.7)
        found.append(logs + prior.log_prob(s.float()).double() + prior_gates + math.log(step))
    logs = torch.stack(found)
    total = logs.flatten().logsumexp(0)
    weights = (logs - total).exp()
    gates = torch.tensor([*itertools.product((0.0, 1.0), repeat=3)], dtype=torch.float64)
    return weights.sum(1) @ gates, float(total), float(weights.sum(0) @ s)


CASES = {
    "HalfNormal": (dist.HalfNormal(1.0), 1.0, False),
    "LogNormal": (dist.LogNormal(0.0, 1.0), 1.0, False),
    "Gamma of the scale": (dist.Gamma(2.0, 2.0), 1.0, False),
    "variance": (dist.LogNormal(0.0, 1.0), 0.5, False),
    "slabs in units of it": (dist.HalfNormal(1.0), 1.0, True),
}


@pytest.mark.parametrize("name", CASES)
def test_posteriors_are_those_of_a_fine_grid(name):
    model = model_of(*CASES[name])
    fit = l0bayes.Fit.of(model, AutoBernoulliGates(model, (X, Y)), (X, Y))
    refined = l0bayes.refine(fit)
    pip, evidence, mean = exact(*CASES[name])
    torch.testing.assert_close(refined.pip("b.gate"), pip, atol=2e-4, rtol=0.0)
    assert refined.log_evidence == pytest.approx(evidence, abs=2e-3)
    torch.manual_seed(0)
    assert float(refined.guide.draw(4000)["s"].mean()) == pytest.approx(mean, rel=0.01)
    assert refined.to_arviz(num_draws=5)["posterior"]["s"].shape == (1, 5)


def two(x, y):
    s, tau = (pyro.sample(name, dist.HalfNormal(1.0)) for name in ("s", "tau"))
    with pyro.plate("groups", 2):
        level = pyro.sample("level", dist.Normal(0.0, tau))
    b = l0bayes.spike_and_slab("b", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(level[torch.arange(len(x)) % 2] + x @ b, s), obs=y)


def test_one_such_scale_is_taken_and_the_message_says_how_to_write_the_noise():
    fit = l0bayes.Fit.of(two, AutoBernoulliGates(two, (X, Y)), (X, Y))
    with pytest.raises(NotLinearError, match=r"one such scale: write variance = .*InverseGamma"):
        l0bayes.refine(fit)


def test_an_engine_without_evidence_says_how_to_write_the_noise():
    model = model_of(dist.HalfNormal(1.0))
    fit = l0bayes.Fit.of(model, AutoBernoulliGates(model, (X, Y)), (X, Y))
    with pytest.raises(NotLinearError, match=r"use the engine 'exact', or fix the scale; of a noise: write"):
        l0bayes.refine(fit, engine="gibbs")
