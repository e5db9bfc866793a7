"""Heads whose queries, keys and values are layers of their own are gated, taken out and counted whole."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from l0bayes.network import (
    NetworkCost,
    chosen_places,
    live_layers,
    load_deployed,
    plan_gates,
    prepare,
    save_deployed,
    trace_units,
    tried_plan,
)
from l0bayes.testing.laid_out_network import LaidOutNetwork
from tests.network.zoo import normal

pytestmark = pytest.mark.usefixtures("float64")

X = normal(2, 5, 12)


def rotated(x):
    """Positions by rotation of pairs of entries, as constants beside every head."""
    angles = torch.arange(x.shape[-2])[:, None] * torch.linspace(0.1, 1.0, x.shape[-1] // 2).repeat(2)
    first, second = x.chunk(2, -1)
    return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()


def rotated_as_complex(x):
    angles = torch.arange(x.shape[-2])[:, None] * torch.linspace(0.1, 1.0, x.shape[-1] // 2)
    turned = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * torch.polar(
        torch.ones_like(angles), angles
    )
    return torch.view_as_real(turned).flatten(3)


def explicit(q, k, v):
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    unseen = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).triu(1)
    return scores.masked_fill(unseen, -torch.inf).softmax(-1) @ v


def fused(q, k, v):
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def by_einsum(q, k, v):
    return torch.einsum("bhqk,bhkd->bhqd", torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1), v)


class Grouped(nn.Module):
    """Separate layers; two heads of queries to one of keys and values."""

    def __init__(self, attend=fused, turn=rotated):
        super().__init__()
        self.n_heads, self.n_kv_heads, self.head_dim = 6, 3, 4
        self.wq, self.wo = nn.Linear(12, 24, bias=False), nn.Linear(24, 12, bias=False)
        self.wk, self.wv = nn.Linear(12, 12, bias=False), nn.Linear(12, 12, bias=False)
        self.attend, self.turn = attend, turn

    def forward(self, x):
        rows, length, _ = x.shape
        q = self.wq(x).view(rows, length, self.n_heads, self.head_dim).transpose(1, 2)
        k, v = (
            layer(x).view(rows, length, self.n_kv_heads, self.head_dim).transpose(1, 2)
            for layer in (self.wk, self.wv)
        )
        q, k = self.turn(q), self.turn(k)
        each = self.n_heads // self.n_kv_heads
        k, v = (
            y[:, :, None].expand(-1, -1, each, -1, -1).reshape(rows, self.n_heads, length, self.head_dim)
            for y in (k, v)
        )
        return self.wo(self.attend(q, k, v).transpose(1, 2).reshape(rows, length, -1))


class Inferred(Grouped):
    """The number of heads stands nowhere: it is what is left for it."""

    def forward(self, x):
        q, k, v = (
            layer(x).view(*x.shape[:-1], -1, self.head_dim).transpose(1, 2)
            for layer in (self.wq, self.wk, self.wv)
        )
        y = functional.scaled_dot_product_attention(self.turn(q), self.turn(k), v, enable_gqa=True)
        return self.wo(y.transpose(1, 2).flatten(2))


class Joint(nn.Module):
    """One layer for queries, keys and values; the width of all heads is a number of the module."""

    def __init__(self, attend=fused):
        super().__init__()
        self.num_heads, self.inner = 3, 12
        self.scale = 4**-0.5
        self.qkv, self.proj, self.attend = nn.Linear(12, 36), nn.Linear(12, 12), attend

    def forward(self, x):
        rows, length, _ = x.shape
        qkv = self.qkv(x).reshape(rows, length, 3, self.num_heads, 4).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        return self.proj(self.attend(q, k, v).transpose(1, 2).reshape(rows, length, self.inner))


class AsWideAsItsInput(Joint):
    """It can have no other number of heads."""

    def forward(self, x):
        rows, length, width = x.shape
        q, k, v = self.qkv(x).reshape(rows, length, 3, 3, 4).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(self.attend(q, k, v).transpose(1, 2).reshape(rows, length, width))


class Block(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.norm, self.attention, self.up, self.down = (
            nn.LayerNorm(12),
            attention,
            nn.Linear(12, 8),
            nn.Linear(8, 12),
        )

    def forward(self, x):
        x = x + self.attention(self.norm(x))
        return x + self.down(functional.gelu(self.up(x)))


class Net(nn.Module):
    def __init__(self, *attentions):
        super().__init__()
        self.first, self.blocks = nn.Linear(12, 12), nn.Sequential(*map(Block, attentions))
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.blocks(self.first(x)).mean(1))


CASES = {
    "grouped": (lambda: Grouped(), "wo", 8),
    "grouped, explicit": (lambda: Grouped(explicit), "wo", 8),
    "grouped, complex": (lambda: Grouped(turn=rotated_as_complex), "wo", 8),
    "inferred": (lambda: Inferred(), "wo", 8),
    "joint": (lambda: Joint(), "proj", 4),
    "joint, explicit": (lambda: Joint(explicit), "proj", 4),
    "joint, einsum": (lambda: Joint(by_einsum), "proj", 4),
}


def network(make, count=2):
    torch.manual_seed(0)
    return Net(*(make() for _ in range(count)))


def lay_out(net, gates, x):
    """Place gates on a network, and try it, as a model does."""
    net = prepare(net).eval()
    places, groups = chosen_places(net, gates)
    trace = trace_units(net, (x,))
    plan, _ = tried_plan(net, lambda: plan_gates(net, trace, places, groups), (x,))
    return LaidOutNetwork(net, plan, x)


def multiplied(dense, gates, last, width):
    """The dense network, what its last layers read multiplied by hand."""
    net = copy.deepcopy(dense)
    for name, module in net.named_modules():
        if f"{name}.gate" in gates and name.endswith("attention"):
            each = gates[f"{name}.gate"].repeat_interleave(width)
            getattr(module, last).weight.data.mul_(each)
    return net


def flops(net, x):
    """With attention as single products: as a whole torch does not count it on a CPU."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net(x)
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("case", CASES)
def test_heads_are_gated_taken_out_and_counted(case):
    make, last, width = CASES[case]
    dense = network(make)
    laid = lay_out(dense, {"*.attention": "heads", "*.up": "output"}, X)
    assert not laid.plan.held
    assert {site: spec.shape for site, spec in laid.plan.specs.items() if "attention" in site} == {
        f"blocks.{n}.attention.gate": (3,) for n in range(2)
    }
    cost = NetworkCost(laid.net, laid.plan)
    for seed in range(3):
        gates = laid.gates(seed, 0.2, 0.9)
        gates["blocks.0.attention.gate"] = torch.tensor([0.5, 0.0, 0.7])
        with torch.no_grad():
            found, small = laid.run(gates), laid.shrink(gates)
            up = {site: gate for site, gate in gates.items() if "attention" not in site}
            reference = multiplied(dense, gates, last, width)
            for site, gate in up.items():
                reference.get_submodule(site.replace("up.gate", "down")).weight.mul_(gate)
            torch.testing.assert_close(found, reference(X))
            fresh = normal(3, 7, 12)
            torch.testing.assert_close(small(fresh), reference(fresh))
        opened = {site: (gate != 0).double() for site, gate in gates.items()}
        totals = cost.totals(opened, decided=True)
        assert totals["params"] == sum(p.numel() for p in small.parameters())
        assert totals["macs"] == flops(small, X[:1])
        attention = small.get_submodule("blocks.0.attention")
        assert getattr(attention, last).in_features == 2 * width
        numbers = {"n_heads": 4, "n_kv_heads": 2, "num_heads": 2, "inner": 8, "head_dim": 4}
        assert all(vars(attention).get(key, value) == value for key, value in numbers.items())


def test_the_last_head_stays():
    laid = lay_out(network(CASES["joint"][0]), {"*.attention": "heads"}, X)
    gates = {site: torch.zeros(spec.shape) for site, spec in laid.plan.specs.items()}
    small = laid.shrink(gates)
    with torch.no_grad():
        torch.testing.assert_close(small(X), laid.run(gates))
    cost = NetworkCost(laid.net, laid.plan)
    assert small.blocks[0].attention.num_heads == 1
    assert cost.totals(gates, decided=True)["macs"] == flops(small, X[:1])


@pytest.mark.parametrize("placement", ["output", "input"])
def test_gates_on_layers_take_out_heads_too(placement):
    laid = lay_out(network(CASES["grouped"][0], 1), placement, X)
    site = "blocks.0.attention.wq.gate" if placement == "output" else "blocks.0.attention.wo.gate"
    assert laid.plan.specs[site].shape == ((3,) if placement == "output" else (24,))
    gates = {site: torch.ones(spec.shape) for site, spec in laid.plan.specs.items()}
    gates[site][: 1 if placement == "output" else 8] = 0.0
    small, cost = laid.shrink(gates), NetworkCost(laid.net, laid.plan)
    with torch.no_grad():
        torch.testing.assert_close(small(X), laid.run(gates))
    assert small.blocks[0].attention.n_heads == 4
    totals = cost.totals(gates, decided=True)
    assert totals["macs"] == flops(small, X[:1])
    assert totals["params"] == sum(p.numel() for p in small.parameters())


def test_numbers_of_heads_are_saved(tmp_path):
    laid = lay_out(network(CASES["grouped"][0], 1), {"*.attention": "heads"}, X)
    small = laid.shrink({"blocks.0.attention.gate": torch.tensor([0.5, 0.0, 0.7])})
    save_deployed(small, tmp_path / "small")
    back = load_deployed(tmp_path / "small", network(CASES["grouped"][0], 1))
    assert (back.blocks[0].attention.n_heads, back.blocks[0].attention.head_dim) == (4, 4)
    with torch.no_grad():
        torch.testing.assert_close(back(X), small(X), rtol=0, atol=0)


def test_heads_are_computed_whole_while_they_are_trained():
    laid = lay_out(network(CASES["grouped"][0]), {"*.attention": "heads", "*.up": "output"}, X)
    gates = laid.gates(0, 0.2, 0.9)
    gates["blocks.0.attention.gate"] = torch.tensor([0.5, 0.0, 0.7])
    live = live_layers(laid.plan, {site: value > 0 for site, value in gates.items()})
    torch.testing.assert_close(laid.run(gates, live=live), laid.run(gates))


def test_heads_that_cannot_leave_stay_at_full_size():
    dense = network(lambda: AsWideAsItsInput())
    laid = lay_out(dense, {"*.attention": "heads"}, X)
    assert set(laid.plan.held) == {"blocks.0.attention", "blocks.1.attention"}
    gates = {site: torch.tensor([0.5, 0.0, 0.7]) for site in laid.plan.specs}
    small, cost = laid.shrink(gates), NetworkCost(laid.net, laid.plan)
    with torch.no_grad():
        torch.testing.assert_close(small(X), multiplied(dense, gates, "proj", 4)(X))
    opened = {site: (gate != 0).double() for site, gate in gates.items()}
    assert small.blocks[0].attention.qkv.out_features == 36
    totals = cost.totals(opened, decided=True)
    assert totals["macs"] == flops(small, X[:1])
    assert totals["params"] == sum(p.numel() for p in small.parameters())


def test_gates_on_layers_pass_over_heads_that_cannot_leave():
    dense = network(lambda: AsWideAsItsInput(), 1)
    laid = lay_out(dense, "output", X)
    assert not laid.plan.held
    assert "blocks.0.attention.qkv" in laid.plan.passed_over
    assert "whose forward holds the number of its heads" in laid.plan.passed_over["blocks.0.attention.qkv"]
    assert "blocks.0.up.gate" in laid.plan.specs
    with pytest.raises(
        ValueError, match=r"'blocks\.0\.attention\.qkv' are gated but mixed by 'blocks\.0\.attention'"
    ):
        lay_out(dense, {"blocks.0.attention.qkv": "output"}, X)


def test_a_bias_for_each_head_keeps_them():
    class Biased(Joint):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(normal(3, 5, 5))

        def forward(self, x):
            rows, length, _ = x.shape
            q, k, v = self.qkv(x).reshape(rows, length, 3, self.num_heads, 4).permute(2, 0, 3, 1, 4).unbind(0)
            y = functional.scaled_dot_product_attention(q, k, v, self.bias[None])
            return self.proj(y.transpose(1, 2).reshape(rows, length, self.inner))

    laid = lay_out(network(Biased, 1), {"*.attention": "heads"}, X)
    assert set(laid.plan.trace.heads["blocks.0.attention"].units.tolist()) <= laid.plan.trace.fixed
    gates = {"blocks.0.attention.gate": torch.tensor([0.5, 0.0, 0.7])}
    with torch.no_grad():
        torch.testing.assert_close(laid.shrink(gates)(X), laid.run(gates))


def test_modules_without_heads_cannot_have_gates_on_them():
    with pytest.raises(ValueError, match=r"'blocks\.0' cannot be gated on 'heads': no heads of attention"):
        lay_out(network(CASES["joint"][0]), {"blocks.0": "heads"}, X)
