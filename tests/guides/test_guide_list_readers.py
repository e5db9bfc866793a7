"""A list of a gate guide and any guide of Pyro's is read as one guide is."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import (
    AutoDelta,
    AutoDiagonalNormal,
    AutoGuideList,
    AutoLowRankMultivariateNormal,
    AutoMultivariateNormal,
    AutoNormal,
)

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates
from l0bayes.posterior import importance_weighted

GENERATOR = torch.Generator().manual_seed(2)
X = torch.randn(40, 3, generator=GENERATOR)
Y = X @ torch.tensor([1.0, 0.0, 0.4]) + 0.6 + 0.7 * torch.randn(40, generator=GENERATOR)
DATA = (X, Y)
SPARSE = ["beta.gate", "beta.slab"]


def model(x, y=None):
    intercept = pyro.sample("intercept", dist.Normal(0.0, 2.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("rows", len(x)):
        return pyro.sample("y", dist.Normal(intercept + x @ beta, sigma), obs=y)


def listed(rest, gates=AutoHardConcrete):
    guide = AutoGuideList(model)
    guide.append(gates(poutine.block(model, expose=SPARSE), DATA))
    guide.append(rest(poutine.block(model, hide=SPARSE)))
    return guide


def trained(guide, steps=400, restarts=1):
    pyro.set_rng_seed(0)
    run = {"lr": 0.03, "compile": "eager", "progress": False, "seed": 1}
    return l0bayes.fit(model, guide, DATA, steps=steps, restarts=restarts, **run)


def strict_evidence():
    """By enumeration over models, and quadrature over intercept and noise."""
    y, total = Y.double(), []
    grid = torch.linspace(math.log(0.3), math.log(2.0), 60).double()
    for index in range(8):
        z = torch.tensor([index >> j & 1 for j in range(3)]).double()
        x = torch.cat([X.double() * z, 2.0 * torch.ones(40, 1).double()], 1)
        covariance = grid.exp().square()[:, None, None] * torch.eye(40).double() + x @ x.mT
        density = torch.distributions.MultivariateNormal(torch.zeros(40).double(), covariance).log_prob(y)
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(grid) + math.log(float(grid[1] - grid[0]))
        gates = (z * math.log(0.3) + (1 - z) * math.log(0.7)).sum()
        total.append(torch.logsumexp(density + prior, 0) + gates)
    return float(torch.logsumexp(torch.stack(total), 0))


@pytest.mark.parametrize("rest", [AutoNormal, AutoDiagonalNormal, AutoMultivariateNormal])
def test_bounds_and_evidences_of_a_list_are_those_of_the_model(rest):
    fit, exact = trained(listed(rest)), strict_evidence()
    bound = l0bayes.hardened_elbo(model, fit.guide, DATA, num_draws=300)
    assert bound.is_bound
    assert exact - 3.0 < bound.value < exact + 3 * bound.standard_error
    weighted = importance_weighted(fit, num_draws=600)
    assert weighted.log_evidence == pytest.approx(exact, abs=0.3)
    assert set(weighted.pip) == {"beta.gate"}


def test_a_list_equals_one_guide_of_the_same_laws():
    whole = AutoHardConcrete(model, DATA).perturb(1)
    guide = listed(AutoNormal)
    guide(*DATA)
    for name in ("intercept", "sigma"):
        setattr(guide[1].locs, name, getattr(whole.loc, name).detach())
        setattr(guide[1].scales, name, getattr(whole.scale, name).detach())
    state = whole.state_dict()
    guide[0].load_state_dict({k: v for k, v in state.items() if "intercept" not in k and "sigma" not in k})
    one, other = (l0bayes.hardened_elbo(model, g, DATA, num_draws=1500) for g in (whole, guide))
    assert one.value == pytest.approx(other.value, abs=4 * (one.standard_error + other.standard_error))


@pytest.mark.parametrize(
    "rest", [AutoNormal, AutoDelta, AutoDiagonalNormal, AutoMultivariateNormal, AutoLowRankMultivariateNormal]
)
@pytest.mark.parametrize("gates", [AutoHardConcrete, AutoBernoulliGates, AutoJointGates])
def test_every_reader_takes_every_combination(rest, gates):
    fit = trained(listed(rest, gates), steps=5, restarts=2)
    assert len({tuple(run.history.elbo) for run in fit.restarts}) == 2
    assert fit.restarts[0].guide is not fit.restarts[1].guide
    post = l0bayes.to_arviz(fit, num_draws=7, restarts="best")
    assert {"beta", "beta.gate", "beta.slab", "intercept", "sigma"} <= set(post["posterior"].data_vars)
    assert post["posterior"]["sigma"].shape == (1, 7)
    bound = l0bayes.hardened_elbo(model, fit.guide, DATA, num_draws=5)
    assert bound.is_bound == (rest is not AutoDelta)
    if rest is AutoDelta:
        with pytest.raises(ValueError, match="point"):
            importance_weighted(fit, num_draws=5)
    else:
        assert math.isfinite(importance_weighted(fit, num_draws=20).log_evidence)
    assert l0bayes.gate_table(fit).index.nlevels >= 1
    assert l0bayes.trust(fit, num_draws=20).verdict


def test_restarts_start_where_one_guide_starts_and_end_as_the_best():
    guide = listed(AutoNormal)
    fit = trained(guide, steps=30, restarts=3)
    assert fit.best.elbo == max(run.elbo for run in fit.restarts)
    best = fit.best.guide[0].gates()["beta.gate"].prob_active
    torch.testing.assert_close(guide[0].gates()["beta.gate"].prob_active, best)
