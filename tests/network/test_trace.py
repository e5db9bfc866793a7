"""Which units are one, which cannot leave, which are mixed: read off one run."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from l0bayes.network import prepare, trace_units
from tests.network.zoo import (
    IMAGES,
    SETS,
    VECTORS,
    ZOO,
    Blocks,
    Branches,
    Excited,
    Residual,
    Tokens,
    Twice,
    grouped,
    lenet,
    mlp,
    normal,
    separable,
)

pytestmark = pytest.mark.usefixtures("float64")


class Net(nn.Module):
    """Two layers and what is between them, given as a function."""

    def __init__(self, between, width=4, read=4):
        super().__init__()
        self.first, self.last = nn.Linear(5, width), nn.Linear(read, 2)
        self.between = between

    def forward(self, x):
        return self.last(self.between(self.first(x)))


def trace(net, x=VECTORS, blocks=()):
    return trace_units(prepare(net), (x[:2],), blocks)


def units(found, name, what="outputs"):
    return getattr(found.layers[name], what).tolist()


def test_layers_hand_on_their_units():
    found = trace(mlp())
    assert list(found.layers) == ["0", "2", "4"]
    assert units(found, "0", "inputs") == [-1] * 5
    assert found.layers["0"].reads_data
    assert not found.layers["2"].reads_data
    assert units(found, "2", "inputs") == units(found, "0")
    assert len({*units(found, "0"), *units(found, "2"), *units(found, "4")}) == 9 == found.size
    assert found.outputs.tolist() == units(found, "4")
    assert (found.output_layer, found.output_dim) == ("4", -1)
    assert not found.mixed
    assert not found.fixed


def test_a_map_is_one_unit_to_all_its_pixels():
    found = trace(lenet(), normal(2, 1, 14, 14))
    maps = units(found, "3")
    assert units(found, "4") == units(found, "4", "inputs") == maps
    assert units(found, "8", "inputs") == [unit for unit in maps for _ in range(4)]
    assert [layer.positions for layer in found.layers.values()] == [144, 16, 16, 1, 1]


def test_a_stream_is_one_class():
    found = trace(Residual(), IMAGES)
    stream = units(found, "stem")
    for name in ("conv2", "conv3", "norm1", "norm3"):
        assert units(found, name) == stream
    assert units(found, "head", "inputs") == units(found, "conv1", "inputs") == stream
    assert set(units(found, "conv1")).isdisjoint(stream)
    assert found.output_layer == "head"


def test_depthwise_and_grouped_convolutions():
    found = trace(separable(), IMAGES)
    assert units(found, "3") == units(found, "3", "inputs") == units(found, "0")
    assert not found.fixed
    found = trace(grouped(), IMAGES)
    assert found.fixed == {*units(found, "0"), *units(found, "2")}


def test_branches_side_by_side():
    found = trace(Branches())
    assert units(found, "join", "inputs") == [*units(found, "left"), *[-1] * 5, *units(found, "right")]


def test_products_tie_what_they_multiply():
    found = trace(Excited(), IMAGES)
    assert units(found, "excite") == units(found, "conv") == units(found, "squeeze", "inputs")
    assert not found.mixed


def test_a_layer_called_twice():
    found = trace(Twice(), normal(2, 3))
    assert units(found, "first") == units(found, "again") == units(found, "again", "inputs")
    assert found.layers["again"].positions == 2


@pytest.mark.parametrize("norm_first", [True, False])
def test_attention_and_normalisation_mix(norm_first):
    found = trace(Tokens(norm_first), SETS)
    stream = units(found, "embed")
    assert units(found, "layer.self_attn") == stream or not norm_first
    assert set(stream) <= found.mixed.keys()
    assert set(units(found, "layer.norm1")) <= found.fixed
    assert set(units(found, "layer.linear1")).isdisjoint({*found.mixed, *found.fixed})
    assert found.layers["layer.self_attn"].uses["pairs"] == 49
    assert [found.layers[n].positions for n in ("embed", "layer.linear1", "head")] == [7, 7, 1]
    assert {n for n in found.layers if "out_proj" in n} == set()


def test_a_batch_that_is_not_in_front():
    first, last = (trace(Tokens(batch_first=flag), SETS).layers for flag in (True, False))
    for name, layer in first.items():
        twin = last[name]
        assert (layer.positions, layer.uses) == (twin.positions, twin.uses)


# ---- operations --------------------------------------------------------------------------------------

SCALE = normal(4)


@pytest.mark.parametrize(
    "between",
    [
        torch.relu,
        lambda x: functional.dropout(x, 0.5),
        lambda x: functional.dropout(x, 0.5, training=True),
        functional.gelu,
        functional.hardswish,
        functional.mish,
        functional.leaky_relu,
        functional.logsigmoid,
        lambda x: 2 * x + 1,
        lambda x: torch.where(x > 0, x, x.exp()),
        lambda x: x.clamp(min=0).pow(2),
        lambda x: x.clone().relu_(),
        lambda x: x.unflatten(1, (2, 2)).flatten(1),
        lambda x: x[:, None].expand(-1, 3, -1).mean(1),
        lambda x: torch.stack([x, x], 1).sum(1),
        lambda x: x.unsqueeze(-1).squeeze(-1).contiguous(),
        lambda x: x.to(torch.float32).to(torch.float64),
        lambda x: x.T.T,
        lambda x: torch.cat(x.split(2, 1), 1),
    ],
)
def test_operations_on_each_unit(between):
    found = trace(Net(between))
    assert units(found, "last", "inputs") == units(found, "first")
    assert not found.mixed
    assert not found.fixed


@pytest.mark.parametrize(
    ("between", "by"),
    [
        (lambda x: x.softmax(-1), "_softmax"),
        (lambda x: x.log_softmax(-1), "_log_softmax"),
        (lambda x: x.cumsum(-1), "cumsum"),
        (lambda x: x.sort(-1).values, "sort"),
        (lambda x: x @ torch.ones(4, 4), "mm"),
        (lambda x: x / x.norm(dim=-1, keepdim=True), "linalg_vector_norm"),
        (lambda x: x - x.mean(-1, keepdim=True), "mean"),
        (lambda x: functional.layer_norm(x, (4,)), "native_layer_norm"),
        (lambda x: functional.glu(torch.cat([x, x], -1)), "glu"),
    ],
)
def test_operations_that_mix(between, by):
    found = trace(Net(between))
    assert set(found.mixed) == set(units(found, "first"))
    assert set(found.mixed.values()) == {by}


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x * SCALE,
        lambda x: x + SCALE,
        lambda x: functional.prelu(x, SCALE),
        lambda x: x + functional.pad(x[:, 1:], (0, 1)),
    ],
)
def test_units_that_stand_beside_constants(between):
    found = trace(Net(between))
    assert found.fixed
    assert not found.mixed


def test_normalisation_of_units_and_data():
    """Its statistics are of full size, and gates on what it reads would not be felt behind it."""

    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.last = nn.Linear(5, 4), nn.BatchNorm1d(9), nn.Linear(9, 2)

        def forward(self, x):
            return self.last(self.norm(torch.cat([self.first(x), x], -1)))

    found = trace(Beside())
    assert set(units(found, "first")) == set(found.mixed)
    assert set(units(found, "norm")) <= found.fixed


def test_outputs():
    class Maps(nn.Module):
        def __init__(self, after):
            super().__init__()
            self.conv, self.after = nn.Conv2d(2, 3, 1), after

        def forward(self, x):
            return self.after(self.conv(x))

    found = trace(Maps(nn.Identity()), IMAGES)
    assert (found.output_dim, found.output_layer) == (-3, "conv")
    assert found.outputs.tolist() == units(found, "conv")
    found = trace(Maps(torch.relu), IMAGES)
    assert found.output_layer is None
    found = trace(Maps(lambda x: x.mean((2, 3))), IMAGES)
    assert found.output_dim == -1
    found = trace(Maps(lambda x: (x, x)), IMAGES)
    assert found.outputs is None
    assert set(found.mixed) == set(units(found, "conv"))
    found = trace(Maps(lambda x: x.flatten(1)), IMAGES)
    assert found.outputs.tolist() == [unit for unit in units(found, "conv") for _ in range(36)]


def test_blocks():
    found = trace(Blocks(), IMAGES, ("inside1", "branch1", "stem"))
    assert (found.blocks["inside1"].keeps_shape, found.blocks["inside1"].holds_skip) == (True, True)
    branch = found.blocks["branch1"]
    assert (branch.keeps_shape, branch.holds_skip, branch.is_added) == (True, False, True)
    assert not found.blocks["stem"].keeps_shape


def test_a_block_that_hands_on_its_input_ties_it_to_its_output():
    net = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    found = trace(net, blocks=("1",))
    assert units(found, "0") == units(found, "1")
    assert units(trace(net), "0") != units(trace(net), "1")


# ---- manners -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lenet", "tokens", "blocks"])
def test_the_network_is_left_as_it_was(name):
    make, _, x = ZOO[name]
    net = make().double()
    next(net.modules()).train()
    frozen = [module for module in net.modules() if not list(module.children())][::2]
    for module in frozen:
        module.eval()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    grads = [p.requires_grad for p in net.parameters()]
    trace_units(net, (x[:2],), ("inside1",) if name == "blocks" else ())
    assert [module.training for module in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == grads
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_network_that_does_not_run_on_the_example():
    net = mlp().train()
    with pytest.raises(
        ValueError, match=r"could not be run on an example of shape \(2, 3\) \(RuntimeError: .*example="
    ):
        trace_units(net, (normal(2, 3),))
    assert net.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
