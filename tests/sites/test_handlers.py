"""Gate sites are ordinary latent sites: Pyro's effect handlers work on them."""

import importlib.util

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from pyro.infer.inspect import get_model_relations

from l0bayes.sites import gate, spike_and_slab

X = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))


def regression(x, y=None):
    pi = pyro.sample("pi", dist.Beta(1.0, 1.0))
    beta = spike_and_slab("beta", pi, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", len(x)):
        return pyro.sample("y", dist.Normal(x @ beta, 0.1), obs=y)


def test_conditioning_on_gates_shuts_their_weights():
    gates, slabs = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([2.0, 5.0, -1.0])
    fixed = poutine.condition(regression, {"beta.gate": gates, "beta.slab": slabs})
    trace = poutine.trace(fixed).get_trace(X)
    assert trace.nodes["beta.gate"]["is_observed"]
    assert torch.equal(trace.nodes["beta"]["value"], torch.tensor([2.0, 0.0, -1.0]))
    torch.testing.assert_close(trace.nodes["y"]["fn"].mean, X @ torch.tensor([2.0, 0.0, -1.0]))


def test_a_relaxed_gate_is_scored_as_open_and_multiplies_the_slab():
    values = {
        "pi": torch.tensor(0.25),
        "beta.gate": torch.tensor([0.5, 0.0, 1.0]),
        "beta.slab": torch.ones(3),
    }
    trace = poutine.trace(poutine.condition(regression, values)).get_trace(X)
    trace.compute_log_prob()
    expected = torch.log(torch.tensor(0.25)) * 2 + torch.log(torch.tensor(0.75))
    torch.testing.assert_close(trace.nodes["beta.gate"]["log_prob"], expected)
    assert torch.equal(trace.nodes["beta"]["value"], torch.tensor([0.5, 0.0, 1.0]))


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_draws_the_prior_and_from_posterior_samples(parallel):
    def small(x):
        beta = spike_and_slab("beta", 0.5, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        mean = beta @ x.T  # (30,), and (samples, 1, 30) when all samples are drawn in one pass
        pyro.sample("y", dist.Normal(mean, 0.1).to_event(1))

    prior = Predictive(small, num_samples=7, parallel=parallel)(X)
    flat = {name: value.reshape(7, -1) for name, value in prior.items()}
    assert flat["beta"].shape == (7, 3)
    assert torch.equal(flat["beta"], flat["beta.gate"] * flat["beta.slab"])
    assert torch.all((flat["beta.gate"] == 0) | (flat["beta.gate"] == 1))

    gates = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    given = {"beta.gate": gates, "beta.slab": torch.full((2, 3), 4.0)}
    drawn = Predictive(small, given, parallel=parallel, return_sites=["beta", "y"])(X)
    torch.testing.assert_close(drawn["beta"].reshape(2, 3), 4.0 * gates)
    residual = drawn["y"].reshape(2, 30) - 4.0 * gates @ X.T
    assert residual.abs().max() < 0.6  # six standard deviations of the noise


def test_do_and_replay_reach_the_gates():
    shut = poutine.do(regression, {"beta.gate": torch.zeros(3)})
    assert torch.equal(poutine.trace(shut).get_trace(X).nodes["beta"]["value"], torch.zeros(3))

    first = poutine.trace(regression).get_trace(X)
    second = poutine.trace(poutine.replay(regression, trace=first)).get_trace(X)
    assert torch.equal(first.nodes["beta"]["value"], second.nodes["beta"]["value"])


def test_a_hidden_gate_leaves_the_slab_to_other_guides():
    trace = poutine.trace(poutine.block(regression, hide=["beta.gate"])).get_trace(X)
    assert "beta.gate" not in trace.nodes
    assert "beta.slab" in trace.nodes


def test_the_model_graph_shows_gate_slab_and_weight():
    y = regression(X)
    relations = get_model_relations(regression, (X, y))
    assert relations["sample_sample"]["beta.gate"] == ["pi"]
    assert relations["sample_sample"]["beta.slab"] == []
    assert set(relations["sample_sample"]["y"]) == {"beta.gate", "beta.slab"}
    assert "y" in relations["observed"]
    assert not {"beta.gate", "beta.slab", "pi"} & set(relations["observed"])
    assert relations["plate_sample"] == {"data": ["y"]}


def test_a_shared_gate_is_one_node_of_the_graph():
    def model():
        unit = gate("unit", 0.5, [2])
        total = 0.0
        for name in ("a", "b"):
            total = (
                total
                + spike_and_slab(name, slab=dist.Normal(0.0, 1.0).expand([2]).to_event(1), gate=unit).sum()
            )
        pyro.sample("y", dist.Normal(total, 1.0), obs=torch.tensor(0.0))

    parents = get_model_relations(model)["sample_sample"]["y"]
    assert sorted(parents) == ["a.slab", "b.slab", "unit"]


@pytest.mark.skipif(
    importlib.util.find_spec("graphviz") is None,
    reason="rendering needs the graphviz package, which is absent",
)
def test_render_model_draws_the_gates():
    source = pyro.render_model(regression, (X,), render_deterministic=True).source
    for node in ("beta.gate", "beta.slab", "beta", "pi"):
        assert node in source
