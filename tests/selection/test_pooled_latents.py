"""Ungated latents with a mean and a scale of their own, in the refinement."""

import itertools
import math

import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.selection.recognise.linear_model import NotLinearError, read_linear_model

GENERATOR = torch.Generator().manual_seed(9)
X = torch.randn(40, 3, generator=GENERATOR)
GROUP = torch.arange(40) % 5
LEVELS = torch.tensor([0.0, 2.0, -1.0, 1.0, 3.0])
Y = X[:, 0] + LEVELS[GROUP] + 0.8 * torch.randn(40, generator=GENERATOR)
DATA = (X, Y)


def weights():
    return l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))


def pooled(x, y=None, scale=None):
    """An intercept a group, whose mean and scale are latents."""
    mu = pyro.sample("mu", dist.Normal(1.0, 3.0))
    tau = pyro.sample("tau", dist.HalfNormal(2.0)) if scale is None else torch.tensor(scale)
    with pyro.plate("groups", 5):
        level = pyro.sample("level", dist.Normal(mu, tau))
    mean = level[..., GROUP] + x @ weights()
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.8), obs=y)
    return mean


def fixed_scale(x, y=None):
    return pooled(x, y, 1.5)


def nested(x, y=None):
    """Three levels: a mean of the means of groups, which have a slope, too."""
    top = pyro.sample("top", dist.Normal(0.0, 2.0))
    mu = pyro.sample("mu", dist.Normal(top, 1.0).expand([2]).to_event(1))
    level = pyro.sample("level", dist.Normal(2.0 * mu[torch.tensor([0, 0, 1, 1, 1])] + 0.5, 0.7).to_event(1))
    mean = level[GROUP] + 0.3 * top + x @ weights()
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.8), obs=y)


def covariance_of(model, tau):
    """Mean and covariance of the ungated part, by hand."""
    groups = torch.nn.functional.one_hot(GROUP, 5).double()
    ones = torch.ones(40, 1).double()
    if model is nested:
        pair = groups @ torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1, 1])).double()
        top = pair.sum(1, keepdim=True) * 2.0 + 0.3
        covariance = 4.0 * top @ top.T + 4.0 * pair @ pair.T + 0.49 * groups @ groups.T
        return 0.5 * ones[:, 0], covariance
    return ones[:, 0], 9.0 * ones @ ones.T + tau**2 * groups @ groups.T


def exact(model):
    """PIPs, log evidence and mean of τ by enumeration and a fine grid."""
    taus = torch.linspace(0.01, 12.0, 400).double() if model is pooled else torch.tensor([1.5]).double()
    logs, models = torch.empty(8, len(taus)).double(), []
    for index, gates in enumerate(itertools.product((0.0, 1.0), repeat=3)):
        z = torch.tensor(gates).double()
        models.append(z)
        prior = float((z * math.log(0.3) + (1 - z) * math.log(0.7)).sum())
        for place, tau in enumerate(taus):
            mean, covariance = covariance_of(model, tau)
            covariance = covariance + 0.64 * torch.eye(40).double() + (X.double() * z) @ X.double().T
            law = torch.distributions.MultivariateNormal(mean, covariance)
            logs[index, place] = prior + law.log_prob(Y.double())
    if model is pooled:
        logs = logs + dist.HalfNormal(2.0).log_prob(taus) + math.log(float(taus[1] - taus[0]))
    shares = (logs - logs.logsumexp((0, 1))).exp()
    return shares.sum(1) @ torch.stack(models), float(logs.logsumexp((0, 1))), float(shares.sum(0) @ taus)


@pytest.mark.parametrize("model", [fixed_scale, nested, pooled])
def test_pips_and_evidence_are_those_of_the_hierarchy(model):
    expected, evidence, tau = exact(model)
    refined = l0bayes.refine(l0bayes.Fit.of(model, AutoHardConcrete(model, DATA), DATA), "exact")
    assert refined.pip("beta") == pytest.approx(expected, abs=1e-3)
    assert refined.log_evidence == pytest.approx(evidence, abs=0.02)
    post = refined.to_arviz(num_draws=3000)["posterior"]
    if model is pooled:
        assert float(post["tau"].mean()) == pytest.approx(tau, abs=0.1)
    assert {"level", "mu"} <= set(post.data_vars)


def test_levels_are_drawn_with_their_mean_and_scale():
    refined = l0bayes.refine(l0bayes.Fit.of(pooled, AutoHardConcrete(pooled, DATA), DATA))
    data = refined.to_arviz(num_draws=4000)
    post = data["posterior"].mean(("chain", "draw"))
    assert post["level"].values == pytest.approx(LEVELS.numpy(), abs=0.7)
    assert float(post["mu"]) == pytest.approx(float(LEVELS.mean()), abs=0.5)
    left = (data["posterior"]["level"] - data["posterior"]["mu"]).values
    spread = (left / data["posterior"]["tau"].values[..., None]).std()
    assert spread == pytest.approx(1.0, abs=0.25)
    predicted = l0bayes.posterior.predict(pooled, refined.guide, (X,), num_draws=500).mean(0)
    assert torch.corrcoef(torch.stack([predicted, Y]))[0, 1] > 0.85


def test_a_fixed_scale_takes_the_chain_and_a_latent_one_an_engine_with_evidence():
    fit = l0bayes.Fit.of(fixed_scale, AutoHardConcrete(fixed_scale, DATA), DATA)
    one, other = (l0bayes.refine(fit, engine).pip("beta") for engine in ("exact", "gibbs"))
    assert one == pytest.approx(other, abs=0.02)
    fit = l0bayes.Fit.of(pooled, AutoHardConcrete(pooled, DATA), DATA)
    with pytest.raises(NotLinearError, match=r"'tau' is a latent, .*'exact'"):
        l0bayes.refine(fit, "gibbs")
    verdict = l0bayes.trust(fit, num_draws=50)
    assert verdict.residual is None


def bent(x, y=None):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    level = pyro.sample("level", dist.Normal(mu**2, 1.0))
    mean = level + x @ weights()
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.8), obs=y)


def scaled_by_more(x, y=None):
    tau = pyro.sample("tau", dist.HalfNormal(1.0))
    level = pyro.sample("level", dist.Normal(0.0, tau + 1.0))
    mean = level + x @ weights()
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.8), obs=y)


def two_scales(x, y=None):
    one, other = (pyro.sample(name, dist.HalfNormal(1.0)) for name in ("one", "other"))
    level, slope = pyro.sample("level", dist.Normal(0.0, one)), pyro.sample("slope", dist.Normal(0.0, other))
    mean = level + slope * x[:, 2] + x @ weights()
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.8), obs=y)


@pytest.mark.parametrize(
    ("model", "message"),
    [(bent, "not linear in"), (scaled_by_more, "proportional to one latent"), (two_scales, "one scale")],
)
def test_other_hierarchies_are_refused(model, message):
    with pytest.raises(NotLinearError, match=message):
        read_linear_model(model, DATA)
