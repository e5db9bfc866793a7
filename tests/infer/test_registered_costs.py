"""Costs by name: registered, asked for by a target, measured, and kept in the state of a run."""

import warnings

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches, TargetWarning, register_cost, registered_costs
from l0bayes.infer.targets import cost_registry
from l0bayes.infer.targets.costs import costs_of
from l0bayes.infer.targets.target import as_target
from l0bayes.models import SparseNetwork
from tests.infer.costed import Costed, guide_of
from tests.network.latency.stub_stopwatch import stub_cost


class Weight:
    """A cost of one's own: the sum of squared activities."""

    def __init__(self, kind):
        self.cost_kinds = (kind,)

    def cost_share(self, kind, active):
        return torch.stack([value.square().mean() for value in active.values()]).mean()

    def smallest_share(self, kind):
        return 0.05


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(cost_registry, "_MAKERS", dict(cost_registry._MAKERS))


def problem():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 10, generator=generator)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))
    model = SparseNetwork(net, inclusion=L0Penalty(0.0), slab=L2Penalty(0.0), num_data=256)
    guide = AutoHardConcrete(model, (x[:2], y[:2]), slab="delta", init_active=0.95)
    return model, guide, Minibatches(x, y, batch_size=64)


def test_a_cost_of_ones_own_is_a_function_and_its_name(registry):
    options = []

    def make(model, guide, kind, option):
        options.append(option)
        return Weight(kind)

    register_cost("weight", make)
    assert "weight" in registered_costs()
    model = Costed()
    guide = guide_of(model)
    assert as_target("weight:0.5@7", model, guide).kind == "weight@7"
    assert options == ["7"]
    assert costs_of(model, guide).cost_kinds == ("macs", "units", "weight@7")
    as_target("macs:0.5", model, guide)
    assert costs_of(model, guide).cost_kinds == ("macs", "units")  # no longer asked for
    with pytest.raises(ValueError, match="can't be reached"):
        as_target("weight:0.01", model, guide)


@pytest.mark.parametrize("name", ["latency", "a:b", "a@b", ""])
def test_names_are_words_and_not_taken(registry, name):
    with pytest.raises(ValueError, match=r"registered already|must be a word"):
        register_cost(name, lambda *_: None)


def test_a_model_that_is_no_network_has_no_latency():
    model = Costed()
    with pytest.raises(ValueError, match="laid out for gates, such as SparseNetwork; got Costed"):
        as_target("latency:0.5", model, guide_of(model))


@pytest.mark.parametrize("shrink", [True, False])
def test_a_network_is_trained_to_a_time(registry, shrink):
    made = []

    def make(model, guide, kind, option):
        made.append(stub_cost(model, kind, int(option)))
        return made[-1]

    register_cost("stub", make)
    model, guide, batches = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TargetWarning)  # within a tenth, but not within a hundredth
        fit = l0bayes.fit(
            model,
            guide,
            batches,
            steps=120,
            lr=1e-2,
            gate_lr=0.1,
            target="stub:0.5@2000",
            shrink=shrink,
            progress=False,
        )
    assert fit.mode == ("eager" if shrink else "graph")
    opened = {site: (law.prob_active > 0.5).float() for site, law in guide.gates().items()}
    (cost,) = made
    assert cost.measured_share(opened) == pytest.approx(0.5, rel=0.1)
    history = fit.history.to_frame()
    assert history["deployed_stub@2000"].iloc[-1] == pytest.approx(cost.measured_share(opened), rel=0.05)
    assert {"deployed_macs", "expected_stub@2000"} <= set(history)
