"""Pyro enumerates gates exactly; brute force over the models gives the same evidence and PIPs."""

import itertools
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, config_enumerate, infer_discrete

from l0bayes.distributions import L0Penalty
from l0bayes.sites import gate, spike_and_slab

pytestmark = pytest.mark.usefixtures("float64")

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(12, 3, generator=GENERATOR).double()
Y = X @ torch.tensor([0.8, 0.0, -0.5]).double() + 0.3 * torch.randn(12, generator=GENERATOR).double()
THETA = torch.tensor([0.7, 0.4, -0.6]).double()
INCLUSION = torch.tensor([0.2, 0.5, 0.7]).double()


def model(x, y, prior=lambda j: INCLUSION[j]):
    weights = [spike_and_slab(f"w{j}", prior(j), dist.Normal(0.0, 2.0)) for j in range(3)]
    mean = sum(x[:, j] * w.unsqueeze(-1) for j, w in enumerate(weights))
    pyro.sample("y", dist.Normal(mean, 0.5).to_event(1), obs=y)


def guide(x, y):
    for j in range(3):
        pyro.sample(f"w{j}.slab", dist.Delta(THETA[j]))


def log_joint_by_model(log_prior):
    """log p(y, z | θ) + log p(θ) for all eight z, by hand."""
    slab = dist.Normal(0.0, 2.0).log_prob(THETA).sum()
    result = {}
    for z in itertools.product([0.0, 1.0], repeat=3):
        mean = X @ (torch.tensor(z) * THETA)
        result[z] = (dist.Normal(mean, 0.5).log_prob(Y).sum() + slab + log_prior(z)).item()
    return result


def bernoulli_log_prior(z):
    return sum(math.log(p if one else 1.0 - p) for one, p in zip(z, INCLUSION.tolist(), strict=True))


def test_the_enumerated_elbo_is_the_sum_over_all_models():
    joint = torch.tensor(list(log_joint_by_model(bernoulli_log_prior).values()))
    loss = TraceEnum_ELBO(max_plate_nesting=0).loss(config_enumerate(model), guide, X, Y)
    assert loss == pytest.approx(-joint.logsumexp(0).item(), abs=1e-9)


def test_conditioning_one_gate_gives_its_inclusion_probability():
    """PIP of gate j = evidence of the models that include j over the whole evidence."""
    joint = log_joint_by_model(bernoulli_log_prior)
    weights = torch.tensor(list(joint.values())).softmax(0)
    included = torch.tensor(list(joint))
    elbo = TraceEnum_ELBO(max_plate_nesting=0)
    for j in range(3):
        fixed = poutine.condition(model, {f"w{j}.gate": torch.tensor(1.0)})
        log_share = elbo.loss(config_enumerate(model), guide, X, Y) - elbo.loss(
            config_enumerate(fixed), guide, X, Y
        )
        assert math.exp(log_share) == pytest.approx((weights @ included[:, j]).item(), abs=1e-9)


def test_infer_discrete_finds_the_most_probable_model():
    joint = log_joint_by_model(bernoulli_log_prior)
    slabs = {f"w{j}.slab": THETA[j] for j in range(3)}
    fixed = config_enumerate(poutine.condition(model, slabs))

    decoded = infer_discrete(fixed, first_available_dim=-1, temperature=0)
    trace = poutine.trace(decoded).get_trace(X, Y)
    found = tuple(trace.nodes[f"w{j}.gate"]["value"].item() for j in range(3))
    assert found == max(joint, key=joint.get) == (1.0, 0.0, 1.0)


def test_an_enumerated_penalty_is_counted_unnormalised():
    penalties = [0.5, 1.0, 2.0]
    joint = log_joint_by_model(lambda z: -sum(p for one, p in zip(z, penalties, strict=True) if one))
    enumerated = config_enumerate(lambda x, y: model(x, y, lambda j: L0Penalty(torch.tensor(penalties[j]))))
    loss = TraceEnum_ELBO(max_plate_nesting=0).loss(enumerated, guide, X, Y)
    assert loss == pytest.approx(-torch.tensor(list(joint.values())).logsumexp(0).item(), abs=1e-5)


def test_gates_in_a_plate_are_enumerated_independently():
    y = torch.tensor([0.1, -0.2, 1.9, 2.3])
    theta = torch.tensor([1.5, 2.0, 1.5, 2.0])

    def local(y):
        with pyro.plate("data", 4):
            w = spike_and_slab("w", 0.3, dist.Normal(0.0, 2.0))
            pyro.sample("y", dist.Normal(w, 0.5), obs=y)

    def points(y):
        with pyro.plate("data", 4):
            pyro.sample("w.slab", dist.Delta(theta))

    shut = math.log(0.7) + dist.Normal(0.0, 0.5).log_prob(y)
    open_ = math.log(0.3) + dist.Normal(theta, 0.5).log_prob(y)
    expected = torch.logaddexp(shut, open_).sum() + dist.Normal(0.0, 2.0).log_prob(theta).sum()
    loss = TraceEnum_ELBO(max_plate_nesting=1).loss(config_enumerate(local), points, y)
    assert loss == pytest.approx(-expected.item(), abs=1e-6)


def test_a_shared_gate_is_enumerated_once():
    """Two slabs behind one gate: only the models 00 and 11 exist."""

    def shared(x, y):
        both = gate("g", 0.3)
        a = spike_and_slab("a", slab=dist.Normal(0.0, 2.0), gate=both)
        b = spike_and_slab("b", slab=dist.Normal(0.0, 2.0), gate=both)
        mean = x[:, 0] * a.unsqueeze(-1) + x[:, 1] * b.unsqueeze(-1)
        pyro.sample("y", dist.Normal(mean, 0.5).to_event(1), obs=y)

    def points(x, y):
        pyro.sample("a.slab", dist.Delta(THETA[0]))
        pyro.sample("b.slab", dist.Delta(THETA[1]))

    shut = math.log(0.7) + dist.Normal(0.0, 0.5).log_prob(Y).sum()
    open_ = math.log(0.3) + dist.Normal(X[:, :2] @ THETA[:2], 0.5).log_prob(Y).sum()
    expected = torch.logaddexp(shut, open_) + dist.Normal(0.0, 2.0).log_prob(THETA[:2]).sum()
    loss = TraceEnum_ELBO(max_plate_nesting=0).loss(config_enumerate(shared), points, X, Y)
    assert loss == pytest.approx(-expected.item(), abs=1e-5)


def test_a_latent_inclusion_may_itself_be_enumerated():
    """A two-point hyperprior on π: the evidence is the mixture of the two evidences."""
    grid = torch.tensor([0.1, 0.6])

    def hyper(x, y):
        k = pyro.sample("k", dist.Categorical(torch.tensor([0.25, 0.75])))
        model(x, y, lambda j: grid[k])

    evidence = []
    for pi in grid.tolist():
        joint = log_joint_by_model(lambda z, pi=pi: sum(math.log(pi if one else 1.0 - pi) for one in z))
        evidence.append(torch.tensor(list(joint.values())).logsumexp(0))
    expected = torch.logaddexp(math.log(0.25) + evidence[0], math.log(0.75) + evidence[1])
    loss = TraceEnum_ELBO(max_plate_nesting=0).loss(config_enumerate(hyper), guide, X, Y)
    assert loss == pytest.approx(-expected.item(), abs=1e-9)


def test_gates_with_event_dimensions_are_not_enumerated_but_sampled():
    """Pyro enumerates sites without event dimensions only; config_enumerate leaves the others alone."""

    def vector():
        spike_and_slab("w", 0.5, dist.Normal(0.0, 1.0).expand([3]).to_event(1))

    trace = poutine.trace(config_enumerate(vector)).get_trace()
    assert "enumerate" not in trace.nodes["w.gate"]["infer"]
