"""Shut units taken out: the small network is the gated one, and what is shut is dead to the last bit."""

import pickle

import pytest
import torch
from torch import nn

from l0bayes.network import HeadAttention, Scaled, SelectiveConv1d, SelectiveConv2d, SelectiveLinear, Skip
from tests.network.zoo import IMAGES, VECTORS, ZOO, Blocks, Residual, case, lay_out, normal, seeded

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("name", ZOO)
def test_the_small_network_is_the_gated_one(name):
    """Whatever the gates: shut and open, some sites wholly shut, or between 0 and 1."""
    laid = case(name)
    for seed in range(3):
        for low, high, keep in [(0.0, 1.0, True), (0.0, 1.0, False), (0.2, 0.9, True)]:
            gates = laid.gates(seed, low, high, keep)
            with torch.no_grad():
                expected, small = laid.run(gates), laid.shrink(gates)
                torch.testing.assert_close(small(laid.x), expected, rtol=0, atol=1e-12)
                whole = laid.shrink(gates, remove=False)
                torch.testing.assert_close(whole(laid.x), expected, rtol=0, atol=1e-12)
        assert all(p.requires_grad for p in small.parameters())
        assert not {id(p) for p in small.parameters()} & {id(p) for p in laid.net.parameters()}


@pytest.mark.parametrize("name", ZOO)
def test_open_gates_change_nothing(name):
    make, _, x = ZOO[name]
    laid = case(name)
    gates = {site: torch.ones(spec.shape) for site, spec in laid.plan.specs.items()}
    dense = seeded(make)
    dense.load_state_dict(laid.net.state_dict())
    dense.eval()
    with torch.no_grad():
        torch.testing.assert_close(laid.run(gates), dense(x), rtol=0, atol=1e-12)
        small = laid.shrink(gates)
    assert [tuple(p.shape) for p in small.parameters()] == [tuple(p.shape) for p in dense.parameters()]
    assert [type(module) for module in small.modules()] == [type(module) for module in dense.modules()]


# ---- dead units --------------------------------------------------------------------------------------

# Site to the (parameter, index) pairs that die with its first gate.
DEAD = {
    "mlp output": ("0.gate", [("0.weight", 0), ("0.bias", 0), ("2.weight", (slice(None), 0))]),
    "mlp input": ("2.gate", [("0.weight", 0), ("0.bias", 0), ("2.weight", (slice(None), 0))]),
    "lenet": (
        "3.gate",
        [("3.weight", 0), ("4.weight", 0), ("4.bias", 0), ("8.weight", (slice(None), slice(0, 4)))],
    ),
    "residual output": (
        "stem.gate",
        [
            *[("stem.weight", 0), ("norm1.weight", 0), ("norm1.bias", 0), ("conv1.weight", (slice(None), 0))],
            *[("conv2.weight", 0), ("conv2.bias", 0), ("conv3.weight", 0), ("conv3.bias", 0)],
            *[("conv3.weight", (slice(None), 0)), ("norm3.bias", 0), ("head.weight", (slice(None), 0))],
        ],
    ),
    "separable": (
        "0.gate",
        [("0.weight", 0), ("1.bias", 0), ("3.weight", 0), ("3.bias", 0), ("4.bias", 0), ("4.weight", 0)],
    ),
    "grouped": ("0.gate", [("0.weight", 0), ("0.bias", 0), ("2.weight", (slice(0, 3), 0))]),
    "branches": ("right.gate", [("right.weight", 0), ("right.bias", 0), ("join.weight", (slice(None), 9))]),
    "words": ("words.gate", [("words.weight", (slice(None), 0)), ("hidden.weight", (slice(None), 0))]),
    "tokens": (
        "layer.self_attn.gate",
        [
            ("layer.self_attn.in_proj_weight", slice(0, 2)),
            ("layer.self_attn.in_proj_weight", slice(8, 10)),
            ("layer.self_attn.in_proj_bias", slice(16, 18)),
            ("layer.self_attn.out_proj.weight", (slice(None), slice(0, 2))),
        ],
    ),
    "tokens norm first": ("layer.linear2.gate", [("layer.linear1.weight", 0), ("layer.linear1.bias", 0)]),
    "twice": ("first.gate", [("first.bias", 0), ("again.weight", 0), ("again.weight", (slice(None), 0))]),
    "excited": ("conv.gate", [("conv.bias", 0), ("excite.weight", 0), ("squeeze.weight", (slice(None), 0))]),
    "blocks": ("inside1.gate", [("inside1.conv.weight", ...), ("inside1.norm.bias", ...)]),
    "blocks and maps": ("branch1.gate", [("branch1.down.bias", ...), ("branch1.up.weight", ...)]),
    "group": ("rows.gate", [("0.weight", (slice(None), 0)), ("0.bias", 0)]),
}


@pytest.mark.parametrize("name", DEAD)
def test_a_shut_gate_leaves_nothing_alive(name):
    """Gradients are exactly 0, and no change of the weights is felt."""
    laid = case(name)
    site, slices = DEAD[name]
    gates = laid.gates(0, 0.5, 1.0)
    gates = {key: torch.where(value == 0, 0.5, value) for key, value in gates.items()}
    gates[site].view(-1)[0] = 0.0
    before = laid.run(gates)
    names = {parameter for parameter, _ in slices}
    values = {key: value.detach().clone().requires_grad_() for key, value in laid.net.named_parameters()}
    laid.run(gates, parameters=values).square().sum().backward()
    for parameter, where in slices:
        assert torch.count_nonzero(values[parameter].grad[where]) == 0
    assert any(torch.count_nonzero(values[parameter].grad) for parameter in names) or "block" in name
    changed = {key: value.detach().clone() for key, value in values.items()}
    for parameter, where in slices:
        changed[parameter][where] += 100.0
    torch.testing.assert_close(laid.run(gates, parameters=changed), before, rtol=0, atol=0)
    opened = {key: value.clone() for key, value in gates.items()}
    opened[site].view(-1)[0] = 1.0
    assert not torch.allclose(laid.run(opened, parameters=changed), before)


# ---- sizes -------------------------------------------------------------------------------------------


def test_maps_drop_with_all_that_hangs_on_them():
    laid = lay_out(seeded(Residual), "output", IMAGES)
    gates = {"stem.gate": torch.tensor([1.0, 0.0, 0.0, 0.7]), "conv1.gate": torch.tensor([0.0, 1, 1, 0, 0])}
    small = laid.shrink(gates)
    shapes = {name: tuple(p.shape) for name, p in small.named_parameters() if name.endswith("weight")}
    assert shapes == {
        "stem.weight": (2, 2, 3, 3),
        "norm1.weight": (2,),
        "conv1.weight": (2, 2, 3, 3),
        "norm2.weight": (2,),
        "conv2.weight": (2, 2, 3, 3),
        "conv3.weight": (2, 2, 3, 3),
        "norm3.weight": (2,),
        "head.weight": (3, 2),
    }
    assert small.norm3.running_mean.shape == (2,)
    assert type(small) is Residual


def test_units_that_nobody_reads_any_more_go_too():
    """From the back to the front: a shut layer leaves one unit, whose own inputs are all unread."""
    net = seeded(
        lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    )
    laid = lay_out(net, {"2": "output"}, VECTORS)
    small = laid.shrink({"2.gate": torch.zeros(3)})
    sizes = [(m.in_features, m.out_features) for m in small if isinstance(m, nn.Linear)]
    assert sizes[1:] == [(sizes[0][1], 1), (1, 2)]
    assert torch.equal(small(VECTORS), net[4].bias.expand(6, 2))


def test_weights_that_are_zero_need_no_gate():
    net = seeded(
        lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    )
    nn.init.zeros_(net[4].weight[:, 1:2])
    laid = lay_out(net, {}, VECTORS)
    small = laid.shrink({})
    assert small[4].in_features == small[2].out_features == 2
    torch.testing.assert_close(small(VECTORS), net(VECTORS), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("make", "kind", "x"),
    [
        (lambda: nn.Linear(5, 3), SelectiveLinear, VECTORS),
        (
            lambda: nn.Conv2d(5, 3, 2, stride=2, padding=1, padding_mode="circular"),
            SelectiveConv2d,
            (5, 6, 6),
        ),
        (lambda: nn.Conv1d(5, 3, 2, dilation=2), SelectiveConv1d, (5, 6)),
    ],
)
def test_what_reads_part_of_the_data_selects_it(make, kind, x):
    x = normal(4, *x) if isinstance(x, tuple) else x
    net = nn.Sequential(seeded(make), nn.Flatten(), nn.ReLU())
    laid = lay_out(net, {"0": "input"}, x)
    small = laid.shrink({"0.gate": torch.tensor([0.5, 0.0, 1.0, 1.0, 0.0])})
    assert type(small[0]) is kind
    assert small[0].index.tolist() == [0, 2, 3]
    assert small[0].weight.shape[1] == 3
    changed = x.clone()
    changed[:, [1, 4]] = torch.nan
    assert torch.equal(small(changed), small(x))
    twin = pickle.loads(pickle.dumps(small))
    assert torch.equal(twin(x), small(x))
    assert kind.__base__.__name__ in repr(small)


def test_nothing_left_to_read_leaves_one_column_of_zeros():
    laid = lay_out(seeded(lambda: nn.Sequential(nn.Linear(5, 3))), {"0": "input"}, VECTORS)
    small = laid.shrink({"0.gate": torch.zeros(5)})
    assert small[0].weight.shape == (3, 1)
    assert torch.equal(small(VECTORS), laid.net[0].bias.expand(6, 3))


def test_blocks_are_skipped_scaled_or_left():
    laid = lay_out(seeded(Blocks), {"inside?": "block", "branch?": "block"}, IMAGES)
    gates = {
        "inside1.gate": torch.zeros(1),
        "inside2.gate": torch.tensor([0.25]),
        "branch1.gate": torch.zeros(1),
        "branch2.gate": torch.ones(1),
    }
    small = laid.shrink(gates)
    assert isinstance(small.inside1, Skip)
    assert isinstance(small.branch1, Skip)
    assert torch.equal(small.inside1(IMAGES), IMAGES)
    assert small.branch1(IMAGES) == 0
    assert isinstance(small.inside2, Scaled)
    assert type(small.branch2).__name__ == "Branch"
    assert "identity" in repr(small.inside1)
    assert "(branch1): Skip(0)" in repr(small)
    assert "gate=0.25" in repr(small.inside2)


def test_attention_that_lost_nothing_is_torchs_own():
    laid = case("tokens")
    gates = {site: torch.ones(spec.shape) for site, spec in laid.plan.specs.items()}
    gates["layer.self_attn.gate"][1] = 0.0
    small = laid.shrink(gates)
    assert isinstance(small.layer.self_attn, HeadAttention)
    assert small.layer.self_attn.num_heads == 3
    assert (
        type(case("words").shrink({"words.gate": torch.ones(6), "head.gate": torch.ones(5)})).__name__
        == "Words"
    )
    plain = case("tokens weight")
    gates = {site: torch.ones(spec.shape) for site, spec in plain.plan.specs.items()}
    assert type(plain.shrink(gates).layer.self_attn) is nn.MultiheadAttention


def test_torchs_fused_encoder_layer_does_not_miss_a_selection():
    """It reads the weights of linear1 past its forward, so that attention stays of our own kind."""
    laid = case("tokens input")
    gates = {site: torch.ones(spec.shape) for site, spec in laid.plan.specs.items()}
    gates["layer.linear1.gate"][3] = 0.0
    with torch.no_grad():
        small = laid.shrink(gates).eval()
        assert isinstance(small.layer.linear1, SelectiveLinear)
        torch.testing.assert_close(small(laid.x), laid.run(gates), rtol=0, atol=1e-12)
        small.train()
        torch.testing.assert_close(small(laid.x), laid.run(gates), rtol=0, atol=1e-12)


def test_a_fused_encoder_layer_with_fewer_units_is_the_same():
    laid = case("tokens input")
    gates = {site: torch.ones(spec.shape) for site, spec in laid.plan.specs.items()}
    gates["layer.linear2.gate"][[0, 4]] = 0.0
    with torch.no_grad():
        small = laid.shrink(gates).eval()
        assert type(small.layer.self_attn) is nn.MultiheadAttention
        assert small.layer.linear1.out_features == 4
        torch.testing.assert_close(small(laid.x), laid.run(gates), rtol=0, atol=1e-12)
