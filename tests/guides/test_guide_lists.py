"""A gate guide for the gates, and any other guide for the rest of the model."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoDelta, AutoGuideList, AutoNormal

from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO
from l0bayes.sites import spike_and_slab
from l0bayes.testing.guide_models import X, Y, regression

SPARSE = ["beta.gate", "beta.slab"]


def combined(rest=AutoNormal, slab="normal"):
    guide = AutoGuideList(regression)
    guide.append(AutoHardConcrete(poutine.block(regression, expose=SPARSE), (X, Y), slab=slab))
    guide.append(rest(poutine.block(regression, hide=SPARSE)))
    return guide


def test_each_part_covers_its_own_sites():
    guide = combined()
    draws = guide(X, Y)
    assert set(draws) == {"beta.gate", "beta.slab", "pi", "sigma", "intercept", "mix"}
    assert set(guide[0].laws()) == set(SPARSE)
    assert set(guide.median(X, Y)) == set(draws)
    assert set(guide.quantiles([0.1, 0.9], X, Y)) == set(draws)


@pytest.mark.slow
@pytest.mark.parametrize("rest", [AutoNormal, AutoDelta])
@pytest.mark.parametrize("slab", ["normal", "delta"])
def test_the_objective_takes_the_combination(rest, slab):
    guide = combined(rest, slab)
    guide(X, Y)
    elbo = MeanFieldELBO()(regression, guide)
    optimiser = torch.optim.Adam(elbo.parameters(), lr=0.05)
    before = [p.detach().clone() for p in elbo.parameters()]
    losses = []
    for _ in range(70):
        optimiser.zero_grad()
        loss = elbo(X, Y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(not torch.equal(a, b) for a, b in zip(before, elbo.parameters(), strict=True))
    assert sum(losses[-20:]) < sum(losses[:20]) - 20.0  # a nat a step at least, of noise of about two


def test_the_combination_equals_one_guide_of_the_same_laws():
    """AutoNormal's latents have the laws of our own: equal parameters, equal draws, equal loss."""
    whole = AutoHardConcrete(regression, (X, Y)).perturb(3)
    guide = combined()
    guide(X, Y)
    names = ("pi", "sigma", "intercept", "mix")
    for name in names:
        setattr(guide[1].locs, name, getattr(whole.loc, name).detach())
        setattr(guide[1].scales, name, getattr(whole.scale, name).detach())
    guide[0].load_state_dict(
        {k: v for k, v in whole.state_dict().items() if not any(f".{n}_" in k for n in names)}
    )
    elbo = MeanFieldELBO(num_particles=4000, vectorize_particles=True, max_plate_nesting=0)
    one, other = elbo.loss(regression, whole, X, Y), elbo.loss(regression, guide, X, Y)
    assert one == pytest.approx(other, abs=1.0)
    # the analytic terms agree exactly where they do not depend on draws
    first, second = elbo.terms(regression, whole, X, Y).kl, elbo.terms(regression, guide, X, Y).kl
    torch.testing.assert_close(first["beta.slab"], second["beta.slab"])


@pytest.mark.filterwarnings("ignore::l0bayes.sites.HiddenSiteWarning")
def test_gates_may_be_enumerated_while_the_guide_covers_the_slabs():
    """A gate hidden from the guide leaves its slab unweighted, as exact enumeration wants it."""

    def model():
        w = spike_and_slab("w", 0.3, dist.Normal(0.0, 2.0))
        pyro.sample("y", dist.Normal(w, 1.0), obs=torch.tensor(2.0))

    guide = AutoHardConcrete(poutine.block(model, hide=["w.gate"]), slab="delta")
    assert set(guide.laws()) == {"w.slab"}
    assert torch.equal(guide.laws()["w.slab"].activity, torch.tensor(1.0))
    guide.loc.get_parameter("w/slab_unconstrained").data.fill_(1.7)
    shut = math.log(0.7) + dist.Normal(0.0, 1.0).log_prob(torch.tensor(2.0))
    open_ = math.log(0.3) + dist.Normal(1.7, 1.0).log_prob(torch.tensor(2.0))
    exact = torch.logaddexp(shut, open_) + dist.Normal(0.0, 2.0).log_prob(torch.tensor(1.7))
    loss = TraceEnum_ELBO(max_plate_nesting=0).loss(config_enumerate(model), guide)
    assert loss == pytest.approx(-exact.item(), abs=1e-5)
