"""Time as a cost: told from a table of layers, differentiable, and set right by a measurement."""

from functools import partial

import pytest
import torch
from torch import nn

from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Target
from l0bayes.infer.targets.target import as_target
from l0bayes.models import LeNet5Caffe, SparseNetwork, WideResNet
from l0bayes.network import shrink, thin_network
from l0bayes.network.latency.layer_times import LayerTimes, measured_layers
from tests.network.latency.stub_stopwatch import stub_cost, told_times


class Branch(nn.Module):
    """A gated block, normalisation, attention: layers that are measured and some that are not."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16)
        self.block = nn.Sequential(nn.Conv1d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv1d(16, 16, 1))
        self.attention = nn.MultiheadAttention(16, 8, batch_first=True)
        self.last = nn.Linear(16, 5)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = (x + self.block(x)).mT
        return self.last((x + self.attention(x, x, x, need_weights=False)[0]).mean(1))


NETWORKS = {
    "lenet": (LeNet5Caffe, (1, 28, 28), None),
    "residual": (lambda: WideResNet(10, 2), (3, 8, 8), None),
    "branch": (
        Branch,
        (3, 10),
        {"block.0": "output", "block": "block", "attention": "heads"},
    ),
}


def model_of(name):
    make, shape, gates = NETWORKS[name]
    return SparseNetwork(make(), gates=gates, example=torch.rand(2, *shape))


def opened_of(model, seed, share=0.5):
    generator = torch.Generator().manual_seed(seed)
    opened = {}
    for site, spec in model.plan.specs.items():
        gates = (torch.rand(spec.shape, generator=generator) < share).float()
        if gates.numel() > 1:  # a block may close
            gates.flatten()[0] = 1.0
        opened[site] = gates
    return opened


@pytest.mark.parametrize("name", NETWORKS)
def test_the_time_of_a_decided_network_is_near_that_of_the_one_that_is_left(name):
    model = model_of(name)
    cost = stub_cost(model)
    ones = {site: torch.ones(spec.shape) for site, spec in model.plan.specs.items()}
    assert float(cost.deployed_share("latency", ones)) == pytest.approx(1.0, abs=1e-5)
    for seed in range(3):
        opened = opened_of(model, seed)
        found = float(cost.deployed_share("latency", opened))
        assert found == pytest.approx(cost.measured_share(opened), rel=0.1)


def test_expected_time_is_differentiable_in_every_gate_that_saves_some():
    model = model_of("lenet")
    cost = stub_cost(model)
    active = {
        site: torch.full(spec.shape, 0.6, requires_grad=True) for site, spec in model.plan.specs.items()
    }
    share = cost.cost_share("latency", active)
    share.backward()
    assert 0.0 < float(share.detach()) < 1.0
    assert all(bool((values.grad > 0).all()) for values in active.values())
    closer = {site: values.detach() - 1e-3 for site, values in active.items()}
    change = sum(float(values.grad.sum()) for values in active.values()) * 1e-3
    assert float(share.detach() - cost.cost_share("latency", closer)) == pytest.approx(change, rel=0.05)


def test_a_measurement_sets_right_what_is_told():
    model = model_of("lenet")
    cost = stub_cost(model)
    opened, ones = opened_of(model, 1, 0.3), opened_of(model, 0, 1.1)
    before = float(cost.deployed_share("latency", opened))
    cost.stopwatch = partial(told_times, bend=0.5)  # the whole network takes other times than its layers say
    assert cost.settle_cost("latency", opened)
    assert float(cost.deployed_share("latency", opened)) == pytest.approx(
        cost.measured_share(opened), rel=1e-3
    )
    assert float(cost.deployed_share("latency", opened)) > 1.2 * before
    assert float(cost.deployed_share("latency", ones)) == pytest.approx(1.0, abs=1e-5)
    assert not cost.settle_cost("latency", opened)
    assert not cost.settle_cost("latency", ones)  # of the whole network there is nothing to learn


def test_what_was_measured_is_state():
    model = model_of("lenet")
    one, other = stub_cost(model), stub_cost(model, stopwatch=partial(told_times, bend=0.9))
    opened = opened_of(model, 1)
    one.settle_cost("latency", opened)
    assert float(one.cost_share("latency", opened)) != float(other.cost_share("latency", opened))
    other.cost_state.load_state_dict(one.cost_state.state_dict())
    assert float(one.cost_share("latency", opened)) == float(other.cost_share("latency", opened))


def test_times_are_interpolated_between_widths():
    levels = [1, 2, 4]
    grid = [[float(3 + 5 * made * read) for read in levels] for made in levels]
    times = LayerTimes([(levels, levels, grid), ([1, 8], [7], [[2.0], [16.0]])])
    made, read = torch.tensor([3.0, 4.5], dtype=torch.float64), torch.tensor([1.5, 7.0], dtype=torch.float64)
    assert times(made, read).tolist() == pytest.approx([3 + 5 * 3 * 1.5, 9.0])
    at = torch.tensor([4.0, 8.0], dtype=torch.float64)
    assert times(at, at).tolist() == pytest.approx([83.0, 16.0])
    below = torch.tensor([0.5, 0.5], dtype=torch.float64)
    assert times(below, below).tolist() == pytest.approx([8.0, 2.0])  # not outside of what was measured


def test_equal_layers_are_measured_once():
    net = nn.Sequential(*(nn.Linear(16, 16) for _ in range(4)))
    model = SparseNetwork(net, example=torch.rand(2, 16))
    calls = []

    def counted(pairs):
        calls.append(len(pairs))
        return told_times(pairs)

    names, _ = measured_layers(model.plan.trace.layers, 10, counted)
    assert names == ["0", "1", "2", "3"]
    assert calls == [25]


@pytest.mark.parametrize(
    ("text", "kind", "share"),
    [
        ("latency:0.3@100", "latency@100", 0.3),
        ("latency:0.3", "latency", 0.3),
        ("latency : 0.25 @ 8/2", "latency@8/2", 0.25),
        ("macs:0.1", "macs", 0.1),
    ],
)
def test_targets_name_a_batch_size(text, kind, share):
    target = Target.parse(text)
    assert (target.kind, target.share) == (kind, share)
    assert Target.parse(str(target)) == target


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("latency:0.3@none", "batch size of 1 or more.*'latency:0.3@100/2'; got 'none'"),
        ("latency:0.3@0", "batch size of 1 or more"),
        ("macs:0.3@100", "the cost 'macs@100'; for this model 'params', 'macs', 'units', 'latency'"),
        ("speed:0.3", "the cost 'speed'"),
        ("latency:0.3@", "latency:0.3"),
    ],
)
def test_what_is_no_such_target_is_refused(target, words):
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    model = SparseNetwork(net, example=torch.rand(2, 4))
    guide = AutoHardConcrete(model, (torch.rand(2, 4), torch.tensor([0, 1])))
    with pytest.raises(ValueError, match=words):
        as_target(target, model, guide)


def test_a_thinned_network_is_told_as_fast_as_it_is():
    model = model_of("lenet")
    cost = stub_cost(model)
    net = thin_network(model.net, model.plan, model.cost, 0.1 * model.cost.dense["macs"])
    dense = shrink(
        model.net, model.plan, {}, {s: torch.ones(spec.shape) for s, spec in model.plan.specs.items()}
    )
    inputs = (torch.rand(100, 1, 28, 28),)
    small, whole = told_times([(net, inputs), (dense, inputs)])
    assert small / whole < 0.2
    assert cost.smallest_share("latency") < small / whole
