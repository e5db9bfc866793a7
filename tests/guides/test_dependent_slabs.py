"""Slabs whose weights depend on one another under their prior: right, or refused where they are sampled."""

import itertools
import math

import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.distributions import marginal_of_open
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates, gate_guide
from l0bayes.posterior import importance_weighted
from l0bayes.sites import gate, slab, spike_and_slab

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(60, 3, generator=GENERATOR)
Y = X @ torch.tensor([1.0, 0.25, 0.0]) + 0.7 * torch.randn(60, generator=GENERATOR)
PI, NOISE = 0.3, 0.7
COVARIANCES = {
    "identity": torch.eye(3),
    "g-prior": 60 * NOISE**2 * torch.linalg.inv(X.T @ X),
    "correlated": torch.tensor([[1.0, 0.8, 0.3], [0.8, 1.0, 0.1], [0.3, 0.1, 0.5]]),
}


def regression(prior):
    def model(x, y):
        beta = spike_and_slab("beta", PI, prior)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, NOISE), obs=y)

    return model


def low_rank(covariance):
    values, vectors = torch.linalg.eigh(covariance - 0.1 * torch.eye(3))
    return dist.LowRankMultivariateNormal(torch.zeros(3), vectors * values.sqrt(), 0.1 * torch.ones(3))


LAWS = {
    "full": lambda covariance: dist.MultivariateNormal(torch.zeros(3), covariance),
    "by precision": lambda covariance: dist.MultivariateNormal(
        torch.zeros(3), precision_matrix=torch.linalg.inv(covariance)
    ),
    "low rank": low_rank,
}


def enumerated(covariance):
    """PIPs and log evidence: the prior of the weights that are in is the marginal of the others."""
    x, y, s = X.double(), Y.double(), covariance.double()
    models, logs = list(itertools.product([0.0, 1.0], repeat=3)), []
    for z in models:
        o = [j for j in range(3) if z[j]]
        of_data = NOISE**2 * torch.eye(60).double() + x[:, o] @ s[o][:, o] @ x[:, o].T
        law = torch.distributions.MultivariateNormal(torch.zeros(60).double(), of_data)
        prior = sum(math.log(PI if one else 1.0 - PI) for one in z)
        logs.append(law.log_prob(y).item() + prior)
    logs = torch.tensor(logs)
    return logs.softmax(0) @ torch.tensor(models), logs.logsumexp(0).item()


@pytest.mark.slow
@pytest.mark.parametrize("name", COVARIANCES)
def test_pips_and_evidence_are_those_of_the_covariance(name):
    model = regression(LAWS["full"](COVARIANCES[name]))
    guide = AutoJointGates(model, (X, Y))
    fit = l0bayes.fit(model, guide, (X, Y), steps=1000, lr=0.06, gate_lr=0.1, progress=False)
    pips, evidence = enumerated(COVARIANCES[name])
    found = guide.gates()["beta.gate"].prob_active.detach()
    torch.testing.assert_close(found, pips, atol=0.1, rtol=0.0)
    weighted = importance_weighted(fit)
    torch.testing.assert_close(weighted.pip["beta.gate"].float(), pips, atol=0.03, rtol=0.0)
    assert weighted.log_evidence == pytest.approx(evidence, abs=0.1)
    bound = l0bayes.hardened_elbo(model, guide, (X, Y))
    assert evidence - 1.0 < bound.value < evidence + 3.0 * bound.standard_error
    assert l0bayes.trust(fit).k_hat is not None


@pytest.mark.parametrize("name", LAWS)
def test_the_forms_of_one_law_are_one_law(name):
    """Equal draws of gates and slabs, equal value of the objective."""
    losses = []
    for prior in (LAWS[name](COVARIANCES["correlated"]), LAWS["full"](COVARIANCES["correlated"])):
        guide = AutoJointGates(regression(prior), (X, Y))
        torch.manual_seed(1)
        losses.append(guide.objective().loss(regression(prior), guide, X, Y))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.usefixtures("float64")
def test_the_law_of_the_open_weights_is_the_marginal_of_the_others():
    covariance, loc = COVARIANCES["correlated"].double(), torch.tensor([0.5, -1.0, 2.0])
    law = dist.MultivariateNormal(loc, covariance)
    value = torch.randn(3)
    density = marginal_of_open(law)
    for z in itertools.product([0.0, 1.0], repeat=3):
        o = [j for j in range(3) if z[j]]
        expected = torch.tensor(0.0)
        if o:
            expected = dist.MultivariateNormal(loc[o], covariance[o][:, o]).log_prob(value[o])
        torch.testing.assert_close(density(law, value, torch.tensor(z)), expected)


# ---- refused ---------------------------------------------------------------------------------------------

UNKNOWN = [
    dist.Dirichlet(torch.ones(3)),
    dist.MultivariateStudentT(4.0, torch.zeros(3), torch.eye(3)),
    dist.TransformedDistribution(dist.MultivariateNormal(torch.zeros(3), torch.eye(3)), []),
    dist.Dirichlet(torch.ones(3)).expand([2]).to_event(1),
    dist.MultivariateStudentT(4.0, torch.zeros(3), torch.eye(3)).mask(False),
]


@pytest.mark.parametrize("prior", UNKNOWN, ids=lambda prior: type(prior).__name__)
def test_a_law_of_dependent_weights_that_nothing_is_known_of_is_refused_where_it_is_sampled(prior):
    message = r"the weights of \w+ depend on one another. Sample it by pyro.sample"
    with pytest.raises(ValueError, match=message):
        spike_and_slab("beta", PI, prior)
    with pytest.raises(ValueError, match=message):
        slab("beta", prior, gate("g", PI, [3]))


@pytest.mark.parametrize("family", [AutoHardConcrete, AutoBernoulliGates])
def test_guides_of_independent_weights_refuse_dependent_ones_before_any_work(family):
    model = regression(LAWS["full"](COVARIANCES["identity"]))
    message = r"slab 'beta.slab' has the prior MultivariateNormal, .* Use AutoJointGates"
    with pytest.raises(NotImplementedError, match=message):
        family(model, (X, Y))
    with pytest.raises(NotImplementedError, match=message):
        gate_guide(model, (X, Y))


def test_what_was_refused_can_be_written_with_a_gate():
    """The remedy that the message names: a latent of its own, multiplied by a gate."""

    def model(x, y):
        gates = gate("gates", PI, [3])
        shares = pyro.sample("shares", dist.Dirichlet(torch.ones(3)))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ (gates.value * shares), NOISE), obs=y)

    guide = AutoHardConcrete(model, (X, Y), temperature=0.1)
    l0bayes.fit(model, guide, (X, Y), steps=300, progress=False)
    assert guide.gates()["gates"].prob_active[0] > 0.9
