"""Slabs on a part of the line: what is known of the sign or the range of an effect."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.distributions import kl_divergence

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates
from l0bayes.infer import MeanFieldELBO
from l0bayes.posterior import importance_weighted

GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(30, 2, generator=GENERATOR)
Y = 1.2 * X[:, 0] + 0.5 * torch.randn(30, generator=GENERATOR)
DATA = (X, Y)
PRIORS = {
    "half normal": dist.HalfNormal(1.0),
    "gamma": dist.Gamma(2.0, 2.0),
    "exponential": dist.Exponential(1.0),
    "log normal": dist.LogNormal(0.0, 0.7),
    "half cauchy": dist.HalfCauchy(1.0),
    "beta": dist.Beta(2.0, 2.0),
    "uniform": dist.Uniform(-0.5, 2.5),
    "pareto": dist.Pareto(0.5, 3.0),
}
CLOSED = ("half normal", "gamma", "exponential", "log normal")


def model_of(prior):
    def model(x, y=None):
        beta = l0bayes.spike_and_slab("beta", 0.3, prior.expand([2]).to_event(1))
        with pyro.plate("rows", len(x)):
            return pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)

    return model


def exact(prior):
    """PIPs and log evidence by enumeration, and quadrature on the quantiles of the prior."""
    levels = (torch.arange(400) + 0.5) / 400
    points = reference(prior).icdf(levels).double()
    x, y = X.double(), Y.double()

    def log_likelihood(a, b):
        mean = a[..., None] * x[:, 0] + b[..., None] * x[:, 1]
        return dist.Normal(mean, 0.5).log_prob(y).sum(-1)

    zero, count = torch.zeros(1).double(), math.log(400)
    logs = torch.stack(
        [
            log_likelihood(zero, zero)[0] + 2 * math.log(0.7),
            (log_likelihood(points, zero) - count).logsumexp(0) + math.log(0.21),
            (log_likelihood(zero, points) - count).logsumexp(0) + math.log(0.21),
            (log_likelihood(points[:, None], points) - 2 * count).logsumexp((0, 1)) + 2 * math.log(0.3),
        ]
    )
    weights = logs.softmax(0)
    return torch.stack([weights[1] + weights[3], weights[2] + weights[3]]), float(logs.logsumexp(0))


def reference(prior):
    """The prior with a quantile function."""
    if isinstance(prior, dist.Gamma | dist.Beta):
        draws = prior.expand([400_000]).sample().sort().values
        return type("Sorted", (), {"icdf": staticmethod(lambda levels: draws[(levels * len(draws)).long()])})
    return prior


@pytest.mark.parametrize("name", [*PRIORS])
@pytest.mark.parametrize("kind", [AutoHardConcrete, AutoBernoulliGates])
def test_the_kl_is_that_of_an_open_weight_times_its_probability(name, kind):
    """Closed, or the mean of what is taken at draws."""
    torch.manual_seed(0)
    prior, model = PRIORS[name], model_of(PRIORS[name])
    guide = kind(model, DATA).perturb(1)
    slab, gate = guide.laws()["beta.slab"], guide.laws()["beta.gate"]
    draws = slab.base.sample((200_000,))
    assert prior.support.check(draws).all()
    each = (slab.base.log_prob(draws) - prior.log_prob(draws)).mean(0)
    expected = float((gate.prob_active * each).sum().detach())
    elbo = MeanFieldELBO()
    with torch.no_grad():
        terms = [
            float(elbo.terms(model, guide, *DATA).kl["beta.slab"])
            for _ in range(600 if name not in CLOSED else 2)
        ]
    if name in CLOSED:
        assert terms[0] == terms[1]
        closed = float((gate.prob_active * kl_divergence(slab.base, prior)).sum().detach())
        assert terms[0] == pytest.approx(closed, rel=1e-5)
    spread = torch.tensor(terms).std().item() / len(terms) ** 0.5
    assert sum(terms) / len(terms) == pytest.approx(expected, abs=0.03 + 4 * spread)


@pytest.mark.parametrize("name", ["half normal", "gamma", "half cauchy", "uniform"])
def test_fits_and_their_readers_against_quadrature(name):
    torch.manual_seed(0)
    model, (pips, evidence) = model_of(PRIORS[name]), exact(PRIORS[name])
    guide = AutoHardConcrete(model, DATA, temperature=0.1)
    fit = l0bayes.fit(model, guide, DATA, steps=1500, lr=0.02, progress=False)
    found = guide.gates()["beta.gate"].prob_active.detach()
    assert found == pytest.approx(pips, abs=0.15)
    bound = l0bayes.hardened_elbo(model, guide, DATA, num_draws=500)
    assert bound.is_bound
    assert evidence - 1.5 < bound.value < evidence + 4 * bound.standard_error
    weighted = importance_weighted(fit, num_draws=1500)
    assert weighted.log_evidence == pytest.approx(evidence, abs=0.15)
    post = l0bayes.to_arviz(fit, num_draws=50)["posterior"]
    assert PRIORS[name].support.check(torch.as_tensor(post["beta.slab"].values)).all()
    assert ((post["beta"] == 0) == (post["beta.gate"] == 0)).all()
    assert PRIORS[name].support.check(guide.median()["beta.slab"]).all()


@pytest.mark.parametrize("name", [*PRIORS])
def test_points_lie_in_the_support(name):
    model = model_of(PRIORS[name])
    guide = AutoHardConcrete(model, DATA, slab="delta")
    l0bayes.fit(model, guide, DATA, steps=5, progress=False, compile="eager")
    law = guide.laws()["beta.slab"]
    assert PRIORS[name].support.check(law.base.v).all()
    torch.testing.assert_close(guide.median()["beta.slab"], law.base.v)
    expected = (guide.gates()["beta.gate"].prob_active * -PRIORS[name].log_prob(law.base.v)).sum()
    torch.testing.assert_close(MeanFieldELBO().terms(model, guide, *DATA).kl["beta.slab"], expected)


def test_a_captured_graph_gives_the_same():
    model = model_of(PRIORS["uniform"])
    fits = []
    for mode in ("eager", "graph"):
        guide = AutoHardConcrete(model, DATA)
        fit = l0bayes.fit(model, guide, DATA, steps=20, progress=False, compile=mode)
        assert fit.mode == mode
        fits.append(fit.elbo)
    assert fits[0] == pytest.approx(fits[1], rel=1e-4)


def test_what_no_guide_covers_is_refused():
    with pytest.raises(ValueError, match=r"AutoJointGates are Gaussian. Use AutoBernoulliGates"):
        AutoJointGates(model_of(PRIORS["gamma"]), DATA)

    def simplex():
        l0bayes.spike_and_slab("w", 0.3, dist.Dirichlet(torch.ones(3)))

    with pytest.raises(ValueError, match="slab"):
        AutoHardConcrete(simplex)
