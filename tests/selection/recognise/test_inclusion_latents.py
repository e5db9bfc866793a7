"""Inclusion probabilities of groups of gates, each a latent of its own."""

import itertools
import math

import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.selection import GaussianProblem, InclusionPrior, infer_gates
from l0bayes.selection.problem.inclusion_prior import BetaBlocks
from l0bayes.selection.recognise.linear_model import NotLinearError, read_linear_model

GENERATOR = torch.Generator().manual_seed(6)
X = torch.randn(40, 6, generator=GENERATOR)
Y = X @ torch.tensor([0.5, 0.3, 0.3, 0.0, 0.0, 0.2]) + torch.randn(40, generator=GENERATOR)
DATA = (X, Y)
GROUP = torch.tensor([0, 0, 0, 1, 1, 1])


def vector(x, y=None):
    """One latent with an entry a group."""
    pi = pyro.sample("pi", dist.Beta(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])).to_event(1))
    beta = l0bayes.spike_and_slab("beta", pi[..., GROUP], dist.Normal(0.0, 1.0).expand([6]).to_event(1))
    with pyro.plate("rows", len(x)):
        return pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)


def plated(x, y=None):
    """The same in a plate."""
    with pyro.plate("groups", 2):
        pi = pyro.sample("pi", dist.Beta(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])))
    beta = l0bayes.spike_and_slab("beta", pi[GROUP], dist.Normal(0.0, 1.0).expand([6]).to_event(1))
    with pyro.plate("rows", len(x)):
        return pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)


def two_sites(x, y=None):
    """A latent a site."""
    mean = torch.zeros(())
    for index, (a, b) in enumerate([(1.0, 3.0), (2.0, 5.0)]):
        pi = pyro.sample(f"pi_{index}", dist.Beta(a, b))
        part = x[:, 3 * index : 3 * index + 3]
        mean = mean + part @ l0bayes.spike_and_slab(
            f"beta_{index}", pi, dist.Normal(0.0, 1.0).expand([3]).to_event(1)
        )
    with pyro.plate("rows", len(x)):
        return pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


def partly_fixed(x, y=None):
    """The second group has a known probability."""
    pi = pyro.sample("pi", dist.Beta(1.0, 3.0))
    both = torch.where(GROUP == 0, pi, torch.tensor(0.25))
    beta = l0bayes.spike_and_slab("beta", both, dist.Normal(0.0, 1.0).expand([6]).to_event(1))
    with pyro.plate("rows", len(x)):
        return pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)


def exact(blocks=((1.0, 3.0), (2.0, 5.0)), fixed=None):
    """PIPs and log evidence from dense covariances of all models; π by its Beta integral."""
    x, y, logs, models = X.double(), Y.double(), [], []
    for gates in itertools.product((0.0, 1.0), repeat=6):
        z = torch.tensor(gates).double()
        prior = 0.0
        for index, (a, b) in enumerate(blocks):
            k = float(z[index == GROUP].sum())
            prior += math.lgamma(a + k) + math.lgamma(b + 3 - k) - math.lgamma(a + b + 3)
            prior -= math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
        if fixed is not None:
            k = float(z[3:].sum())
            prior += k * math.log(fixed) + (3 - k) * math.log(1 - fixed)
        covariance = torch.eye(40).double() + (x * z) @ x.T
        logs.append(prior + float(torch.distributions.MultivariateNormal(0 * y, covariance).log_prob(y)))
        models.append(z)
    weights = torch.tensor(logs).double()
    return weights.softmax(0) @ torch.stack(models), float(weights.logsumexp(0))


@pytest.mark.parametrize("model", [vector, plated, two_sites, partly_fixed])
@pytest.mark.parametrize(("engine", "error"), [("exact", 1e-6), ("gibbs", 0.02), ("svi", 0.25)])
def test_groups_with_a_probability_of_their_own(model, engine, error):
    expected, evidence = exact(((1.0, 3.0),), 0.25) if model is partly_fixed else exact()
    fit = l0bayes.Fit.of(model, AutoHardConcrete(model, DATA), DATA)
    refined = l0bayes.refine(fit, engine)
    sites = ("beta_0", "beta_1") if model is two_sites else ("beta",)
    assert torch.cat([refined.pip(site) for site in sites]) == pytest.approx(expected, abs=error)
    if engine == "exact":
        assert refined.log_evidence == pytest.approx(evidence, abs=1e-5)


def test_one_latent_for_all_gates_is_the_prior_that_it_was():
    def model(x, y=None):
        pi = pyro.sample("pi", dist.Beta(1.0, 3.0))
        beta = l0bayes.spike_and_slab("beta", pi, dist.Normal(0.0, 1.0).expand([6]).to_event(1))
        with pyro.plate("rows", len(x)):
            return pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)

    assert read_linear_model(model, DATA).problem.prior == InclusionPrior(beta=(1.0, 3.0))


@pytest.mark.parametrize("law", [dist.Kumaraswamy(2.0, 2.0), dist.Uniform(0.0, 1.0)])
def test_other_laws_and_functions_of_latents_are_refused(law):
    def model(x, y=None):
        pi = pyro.sample("pi", law)
        beta = l0bayes.spike_and_slab("beta", pi, dist.Normal(0.0, 1.0).expand([6]).to_event(1))
        with pyro.plate("rows", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)

    def halved(x, y=None):
        pi = pyro.sample("pi", dist.Beta(2.0, 2.0))
        beta = l0bayes.spike_and_slab("beta", 0.5 * pi, dist.Normal(0.0, 1.0).expand([6]).to_event(1))
        with pyro.plate("rows", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)

    for one in (model, halved):
        with pytest.raises(NotLinearError, match=r"depends on the latents \['pi'\]; .*Beta"):
            read_linear_model(one, DATA)


def blocks(sizes, a, b):
    index = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return InclusionPrior(blocks=BetaBlocks(index, torch.tensor(a).double(), torch.tensor(b).double()))


def test_probabilities_of_blocks_sum_to_one_and_agree_with_one_another():
    prior = blocks([2, 3, 1], [1.0, 0.5, 2.0], [2.0, 3.0, 0.7])
    gates = torch.tensor([*itertools.product((0.0, 1.0), repeat=6)]).double()
    probabilities = prior.log_prob(gates).exp()
    assert float(probabilities.sum()) == pytest.approx(1.0)
    assert probabilities @ gates == pytest.approx(prior.inclusion(6))
    sizes = torch.stack([probabilities[gates.sum(1) == k].sum() for k in range(7)])
    assert prior.size_probabilities(6) == pytest.approx(sizes)
    for gate in range(6):
        opened, shut = gates.clone(), gates.clone()
        opened[:, gate], shut[:, gate] = 1.0, 0.0
        odds = prior.log_prob(opened) - prior.log_prob(shut)
        assert prior.conditional_log_odds(gates)[:, gate] == pytest.approx(odds)


def test_one_block_is_the_beta_prior():
    one, other = blocks([5], [1.5], [4.0]), InclusionPrior(beta=(1.5, 4.0))
    gates = torch.tensor([*itertools.product((0.0, 1.0), repeat=5)]).double()
    assert one.log_prob(gates) == pytest.approx(other.log_prob(gates))
    assert one.conditional_log_odds(gates) == pytest.approx(other.conditional_log_odds(gates))
    assert one.size_probabilities(5) == pytest.approx(other.size_probabilities(5))


def test_many_columns_take_the_chain():
    torch.manual_seed(0)
    x = torch.randn(80, 40).double()
    y = x[:, :4].sum(1) + torch.randn(80).double()
    prior = blocks([10, 30], [1.0, 1.0], [1.0, 9.0])
    found = infer_gates(
        GaussianProblem(x, y, prior=prior, noise=1.0, slab_scale=torch.ones(40).double()), "gibbs"
    )
    assert (found.pip[:4] > 0.9).all()
    # noise of a block in which four of ten are open is likelier than that of one in which none is
    assert found.pip[4:10].mean() > 2 * found.pip[10:].mean()


def test_classes_too():
    def model(x, y=None):
        pi = pyro.sample("pi", dist.Beta(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])).to_event(1))
        beta = l0bayes.spike_and_slab("beta", pi[..., GROUP], dist.Normal(0.0, 1.0).expand([6]).to_event(1))
        with pyro.plate("rows", len(x)):
            return pyro.sample("y", dist.Bernoulli(logits=x @ beta), obs=y)

    data = (X, (Y > 0).float())
    fit = l0bayes.Fit.of(model, AutoHardConcrete(model, data), data)
    one, other = (l0bayes.refine(fit, engine).pip("beta") for engine in ("exact", "gibbs"))
    assert one == pytest.approx(other, abs=0.03)
