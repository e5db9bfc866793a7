"""Cost by formula against cost by counting: on decided, on enumerated and on sampled networks."""

import itertools

import pytest
import torch
from torch import nn

from l0bayes.models import LeNet5Caffe, LeNet300100
from l0bayes.network import HeadAttention, NetworkCost, count_macs
from tests.network.zoo import (
    DIGITS,
    IMAGES,
    SETS,
    VECTORS,
    ZOO,
    Blocks,
    case,
    lay_out,
    lenet,
    mlp,
    normal,
    seeded,
)

pytestmark = pytest.mark.usefixtures("float64")

COUNTED = (nn.Linear, nn.Conv1d, nn.Conv2d, HeadAttention)


def numel(net):
    return sum(p.numel() for p in net.parameters())


def opened(gates):
    return {site: (value != 0).double() for site, value in gates.items()}


def is_cut(laid, costs, gates):
    """Whether some layer has nothing left: the network keeps one unit then, the formula none."""
    return any(
        isinstance(laid.net.get_submodule(name), COUNTED) and cost.macs == 0
        for name, cost in costs.items()
        if all(gates[site].any() for site in laid.plan.blocks_around(name))
    )


# ---- decided networks --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n, (_, gates, _) in ZOO.items() if "weight" not in str(gates)])
def test_cost_of_decided_gates_is_counted_on_the_network_left(name):
    laid = case(name)
    cost = NetworkCost(laid.net, laid.plan)
    compared = 0
    for seed in range(8):
        gates = laid.gates(seed)
        active = opened(gates)
        if is_cut(laid, cost.layers(active), gates):
            continue
        small, totals = laid.shrink(gates), cost.totals(active)
        assert totals["macs"] == count_macs(small, (laid.x[:2],))
        assert totals["params"] == numel(small)
        assert totals["units"] == sum(value.sum() for value in active.values())
        compared += 1
    assert compared >= 3


@pytest.mark.parametrize("name", [n for n, (_, gates, _) in ZOO.items() if "weight" in str(gates)])
def test_gates_on_single_weights_count_what_is_not_zero(name):
    """At full size, beside the units that a plain network has no more."""
    laid = case(name)
    cost = NetworkCost(laid.net, laid.plan)
    shapes = {name: spec for name, spec in laid.plan.specs.items() if spec.placement in ("weight", "group")}
    for seed in range(3):
        drawn = laid.gates(seed)
        gates = {site: value if site in shapes else torch.ones_like(value) for site, value in drawn.items()}
        whole = laid.shrink(gates, remove=False)
        totals = cost.totals(opened(gates))
        assert totals["params"] == sum(torch.count_nonzero(p) for p in whole.parameters())
        assert totals["macs"] == cost.dense["macs"] == count_macs(laid.net, (laid.x[:2],))


@pytest.mark.parametrize("name", ZOO)
def test_dense_cost(name):
    laid = case(name)
    cost = NetworkCost(laid.net, laid.plan)
    make, _, x = ZOO[name]
    assert cost.dense == {
        "params": numel(make()),
        "macs": count_macs(seeded(make), (x[:3],)),
        "units": sum(torch.Size(spec.shape).numel() for spec in laid.plan.specs.values()),
    }


# ---- random networks ---------------------------------------------------------------------------------

# Sites whose gates are at most two to a weight, so that the formula of the variance is exact.
SMALL = {
    "mlp": (lambda: seeded(mlp), "input", VECTORS, True),
    "mlp output": (lambda: seeded(mlp), {"0": "output", "2": "output", "4": "output"}, VECTORS, True),
    "weights": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)),
        {"0": ["weight", "output"], "2": "weight"},
        normal(3, 2),
        False,
    ),
    "lenet": (lambda: seeded(lenet), {"[03]": "output", "10": "input"}, DIGITS, True),
    "pixels": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(8, 3)),
        {"0": "output", "3": "input"},
        normal(2, 1, 8, 8),
        False,
    ),
    "residual": (*ZOO["residual output"][:2], IMAGES, False),
    "residual units": (*ZOO["residual units input"], False),
    "units and weights": (
        lambda: ZOO["units and weights"][0](),
        {"*": "output", "one": "weight"},
        normal(3, 2),
        False,
    ),
    "tokens": (*ZOO["tokens"], True),
    "blocks": (Blocks, {"inside?": "block", "branch1": "block", "branch1.up": "output"}, IMAGES, True),
    "twice": (*ZOO["twice"], False),
    "separable": (*ZOO["separable"], True),
    "group": (*ZOO["group"], True),
}


@pytest.mark.parametrize("name", SMALL)
def test_expectation_and_variance_by_enumeration(name):
    """All networks there are, each counted and weighted by its probability."""
    make, where, x, exact = SMALL[name]
    laid = lay_out(make().double(), where, x)
    cost = NetworkCost(laid.net, laid.plan)
    generator = torch.Generator().manual_seed(0)
    active = {site: torch.rand(shape, generator=generator) for site, shape in cost.shapes.items()}
    flat = torch.cat([p.flatten() for p in active.values()])
    assert len(flat) <= 13
    networks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=len(flat))))
    chances = torch.where(networks > 0, flat, 1.0 - flat).prod(1)
    sizes = [p.numel() for p in active.values()]

    def counts(gates):
        parts = zip(active, gates.split(sizes), strict=True)
        return cost.totals({site: part.reshape(cost.shapes[site]) for site, part in parts})

    counted = torch.vmap(counts)(networks)
    for kind in cost.kinds:
        mean = chances @ counted[kind]
        variance = chances @ (counted[kind] - mean).square()
        torch.testing.assert_close(cost.totals(active)[kind], mean, rtol=1e-12, atol=0)
        found = cost.variance(kind, active)
        if exact:
            assert found == pytest.approx(variance.item(), rel=1e-10)
        else:  # a lower bound, since the terms left out are sums of squares
            assert 0.9 * variance.item() <= found <= variance.item() * (1 + 1e-10)


def test_a_sampled_lenet_costs_what_is_expected():
    """Networks are drawn, taken apart and counted as they run.

    Means are compared at five standard errors, which a correct formula misses once in 1.7 million seeds;
    a layer of which nothing is left has a chance below one in a million.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        laid = lay_out(LeNet5Caffe(widths=(20, 50, 60)), LeNet5Caffe.default_gates, torch.randn(2, 1, 28, 28))
    cost = NetworkCost(laid.net, laid.plan)
    generator = torch.Generator().manual_seed(1)
    active = {site: 0.3 + 0.6 * torch.rand(s, generator=generator) for site, s in cost.shapes.items()}
    active["fc1.gate"] *= 0.5
    counts = []
    for _ in range(150):
        gates = {site: torch.bernoulli(p, generator=generator) for site, p in active.items()}
        small = laid.shrink(gates)
        counts.append(
            [count_macs(small, (laid.x,)), numel(small), sum(float(g.sum()) for g in gates.values())]
        )
    counts = torch.tensor(counts)
    for column, kind in zip(counts.T, ("macs", "params", "units"), strict=True):
        error = column.std() / len(column) ** 0.5
        assert abs(cost.totals(active)[kind] - column.mean()) < 5 * error


@pytest.mark.parametrize("make", [LeNet5Caffe, LeNet300100])
def test_the_variance_of_a_lenet_by_sampling(make):
    """Five standard errors of the sample variance and the terms that the formula leaves out."""
    net = make()
    laid = lay_out(net, make.default_gates, torch.randn(2, 1, 28, 28))
    cost = NetworkCost(laid.net, laid.plan)
    generator = torch.Generator().manual_seed(2)
    active = {site: 0.1 + 0.8 * torch.rand(s, generator=generator) for site, s in cost.shapes.items()}
    draws = {s: torch.bernoulli(p.expand(4000, *p.shape), generator=generator) for s, p in active.items()}
    counted = torch.vmap(cost.totals)(draws)
    for kind in cost.kinds:
        centred = (counted[kind] - counted[kind].mean()).square()
        error = 5 * centred.std() / len(centred) ** 0.5
        assert abs(cost.variance(kind, active) - centred.mean()) < error


def test_variance_of_many_gates_is_estimated(monkeypatch):
    laid = lay_out(LeNet300100(), "input", torch.randn(2, 1, 28, 28))
    cost = NetworkCost(laid.net, laid.plan)
    active = {site: torch.full(shape, 0.4) for site, shape in cost.shapes.items()}
    exact = cost.variance("macs", active)
    monkeypatch.setattr("l0bayes.network.cost._EXACT_HESSIAN", 100)
    assert cost.variance("macs", active) == pytest.approx(exact, rel=0.05)
    first = (
        0.6
        * 0.4
        * sum(
            gradient.square().sum()
            for gradient in torch.autograd.grad(
                cost.totals({s: p.requires_grad_() for s, p in active.items()})["macs"], list(active.values())
            )
        )
    )
    assert first < exact


# ---- counting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "x", "macs"),
    [
        (nn.Linear(5, 3), normal(2, 5), 15),
        (nn.Linear(5, 3), normal(2, 7, 4, 5), 15 * 28),
        (nn.Conv2d(2, 3, (3, 5)), normal(4, 2, 9, 8), 7 * 4 * 3 * 2 * 15),
        (nn.Conv2d(2, 3, 3, stride=2, padding=1), normal(4, 2, 9, 8), 5 * 4 * 3 * 2 * 9),
        (nn.Conv2d(2, 3, 3, stride=(1, 3), dilation=2), normal(4, 2, 9, 8), 5 * 2 * 3 * 2 * 9),
        (nn.Conv2d(4, 6, 3, groups=2, padding="same"), normal(1, 4, 5, 5), 25 * 6 * 2 * 9),
        (nn.Conv2d(4, 4, 3, groups=4), normal(1, 4, 5, 5), 9 * 4 * 9),
        (nn.Conv1d(3, 4, 4, stride=3, padding=2), normal(2, 3, 10), 4 * 4 * 3 * 4),
        # Four projections of seven tokens of width 8, and twice 49 products of width 8.
        (
            nn.TransformerEncoderLayer(8, 4, 6, batch_first=True),
            normal(2, 7, 8),
            7 * (4 * 64 + 96) + 2 * 49 * 8,
        ),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4)), normal(2, 4), 0),
    ],
)
def test_multiplications_by_hand(net, x, macs):
    net.double()
    for mode in (True, False):
        assert count_macs(net.train(mode), (x,)) == macs
        assert net.training is mode
    assert count_macs(net, (x[:1],)) == macs
    assert not any(m._forward_hooks for m in net.modules())


class Cross(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        self.head = nn.Linear(8, 2)
        self.batch_first = batch_first

    def forward(self, x):
        x = torch.cat([x, x, x[..., :2]], -1)
        q, k = x[:, :3], x[:, 3:]
        if self.batch_first:
            return self.head(self.attention(q, k, k)[0].mean(1))
        return self.head(
            self.attention(q.mT.permute(2, 0, 1), k.mT.permute(2, 0, 1), k.transpose(0, 1))[0].mean(0)
        )


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_across_two_lengths(batch_first):
    net = Cross(batch_first)
    by_hand = 2 * 64 * (3 + 4) + 2 * 8 * 3 * 4 + 16
    assert count_macs(net, (SETS,)) == by_hand
    laid = lay_out(net, "heads", SETS)
    cost = NetworkCost(laid.net, laid.plan)
    assert cost.dense["macs"] == by_hand
    gates = {"attention.gate": torch.tensor([0.0, 1.0])}
    assert cost.totals(gates)["macs"] == count_macs(laid.shrink(gates), (SETS,)) == (by_hand - 16) / 2 + 16


def test_lenet_5_costs_what_the_literature_says():
    laid = lay_out(LeNet5Caffe(), LeNet5Caffe.default_gates, torch.zeros(1, 1, 28, 28))
    cost = NetworkCost(laid.net, laid.plan)
    layers = cost.layers({site: torch.ones(shape) for site, shape in cost.shapes.items()})
    assert {name: float(layer.macs) for name, layer in layers.items()} == {
        "conv1": 24 * 24 * 20 * 25,
        "conv2": 8 * 8 * 50 * 20 * 25,
        "fc1": 800 * 500,
        "fc2": 500 * 10,
    }
    assert cost.dense["params"] == 431_080
    assert cost.total_gates == 20 + 50 + 800 + 500


# ---- shares ------------------------------------------------------------------------------------------


def test_shares():
    laid = lay_out(seeded(mlp), "input", VECTORS)
    cost = NetworkCost(laid.net, laid.plan)
    half = {site: torch.full(shape, 0.5) for site, shape in cost.shapes.items()}
    assert cost.share("macs", half) == (38 - 6) / 4 / 38 + 6 / 2 / 38
    assert cost.share("units", half) == 0.5
    assert cost.smallest("macs") == (1 + 1 + 2) / 38
    assert cost.smallest("units") == 3 / 12
    with pytest.raises(ValueError, match="kind must be one of params, macs, units; got 'flops'"):
        cost.share("flops", half)


def test_closed_blocks_are_the_smallest_network():
    laid = case("blocks")
    cost = NetworkCost(laid.net, laid.plan)
    small = laid.shrink({site: torch.zeros(1) for site in cost.shapes})
    assert cost.smallest("params") == numel(small) / cost.dense["params"]


def test_a_network_without_gates():
    laid = lay_out(seeded(mlp), {}, VECTORS)
    cost = NetworkCost(laid.net, laid.plan)
    assert cost.share("units", {}) == cost.share("macs", {}) == 1.0
    assert cost.variance("params", {}) == 0.0


def test_cost_has_gradients():
    laid = case("residual output")
    cost = NetworkCost(laid.net, laid.plan)
    gates = [torch.full(shape, 0.5, requires_grad=True) for shape in cost.shapes.values()]

    def macs(*values):
        return cost.totals(dict(zip(cost.shapes, values, strict=True)))["macs"] / 1000

    assert torch.autograd.gradcheck(macs, gates)
    assert all((g > 0).all() for g in torch.autograd.grad(macs(*gates), gates))
