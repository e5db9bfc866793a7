"""The sparse network: where gates stand, what a shut unit leaves behind, what is refused."""

import copy
import math

import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import nn

import l0bayes
from l0bayes.distributions import Gate, L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.models import SparseNetwork
from l0bayes.network import GateGroup
from tests.models.networks import PLACEMENTS, X, data_for, dense, set_gates, state_of, values_of

pytestmark = pytest.mark.usefixtures("float64")


def output(model, values, x=X):
    with Given(values), torch.no_grad():
        return model(x)


# ---- the dense network -------------------------------------------------------------------------------


@pytest.mark.parametrize("gates", PLACEMENTS)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid])
def test_open_gates_and_point_slabs_leave_the_dense_network(gates, activation):
    net = dense(activation)
    model = SparseNetwork(net, gates=gates)
    guide = AutoHardConcrete(model, data_for(model), slab="delta")
    set_gates(guide, 60.0)
    values = guide(*data_for(model))
    assert all((value == 1).all() for name, value in values.items() if name.endswith(".gate"))
    torch.testing.assert_close(output(model, values), net(X), rtol=0, atol=1e-12)


def test_the_given_network_is_copied_and_left_untouched():
    net = dense()
    before = state_of(net)
    model = SparseNetwork(net)
    guide = AutoHardConcrete(model, data_for(model), slab="delta", init_active=0.9)
    l0bayes.fit(model, guide, data_for(model), steps=3, lr=0.01, compile="eager", progress=False)
    assert all(torch.equal(before[name], value) for name, value in state_of(net).items())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert not any(a is b for a, b in zip(net.modules(), model.net.modules(), strict=True))
    with torch.no_grad():
        net[0].weight.zero_()
    assert model.net[0].weight.abs().sum() > 0.0


def test_guides_start_at_the_dense_weights():
    net = dense()
    guide = AutoHardConcrete(SparseNetwork(net), data_for(SparseNetwork(net)))
    median = guide.median()
    for name in ("0", "2", "4"):
        layer = net.get_submodule(name)
        torch.testing.assert_close(median[f"{name}.weight.slab"], layer.weight.detach())
        torch.testing.assert_close(median[f"{name}.bias.slab"], layer.bias.detach())


# ---- sites -------------------------------------------------------------------------------------------


def sites(model):
    trace = poutine.trace(model).get_trace(*data_for(model))
    return {
        name: tuple(site["value"].shape)
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not (site["is_observed"] or poutine.util.site_is_subsample(site))
    }


SLABS = {
    "0.weight.slab": (4, 5),
    "0.bias.slab": (4,),
    "2.weight.slab": (3, 4),
    "2.bias.slab": (3,),
    "4.weight.slab": (2, 3),
    "4.bias.slab": (2,),
}


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ("input", {"0.gate": (5,), "2.gate": (4,), "4.gate": (3,)}),
        ("output", {"0.gate": (4,), "2.gate": (3,)}),  # the last layer's outputs are the prediction
        ("weight", {"0.gate": (4, 5), "2.gate": (3, 4), "4.gate": (2, 3)}),
        ({"2": "input"}, {"2.gate": (4,)}),
        ({"4": "output"}, {"4.gate": (2,)}),
        ({"0": "input", "2": "weight", "4": "output"}, {"0.gate": (5,), "2.gate": (3, 4), "4.gate": (2,)}),
        ({}, {}),
    ],
)
def test_sites_of_a_placement(gates, expected):
    assert sites(SparseNetwork(dense(), gates=gates)) == SLABS | expected


def test_layers_keep_their_names():
    net = nn.Sequential()
    net.add_module("features", nn.Linear(5, 4))
    net.add_module("act", nn.Tanh())
    net.add_module("head", nn.Linear(4, 2, bias=False))
    expected = {
        "features.gate": (5,),
        "head.gate": (4,),
        "features.weight.slab": (4, 5),
        "features.bias.slab": (4,),
        "head.weight.slab": (2, 4),
    }
    assert sites(SparseNetwork(net)) == expected


def test_an_activation_that_stands_in_several_places_is_applied_in_each():
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(5, 4), relu, nn.Linear(4, 3), relu, nn.Linear(3, 2)).double()
    model = SparseNetwork(net)
    guide = AutoHardConcrete(model, data_for(model), slab="delta")
    set_gates(guide, 60.0)
    torch.testing.assert_close(output(model, guide(*data_for(model))), net(X), rtol=0, atol=1e-12)
    torch.testing.assert_close(model.deploy(guide)(X), net(X), rtol=0, atol=1e-12)


def test_priors_may_differ_by_layer():
    inclusion = {"0": 0.1, "2": Gate(0.2), "4": L0Penalty(3.0), "unused": 0.9}
    model = SparseNetwork(dense(), inclusion=inclusion, slab=dist.Normal(0.0, 0.3))
    nodes = poutine.trace(model).get_trace(*data_for(model)).nodes
    found = [nodes[f"{n}.gate"]["fn"].base_dist.inclusion_probability for n in ("0", "2", "4")]
    for value, expected in zip(found, [0.1, 0.2, 1 / (1 + math.exp(3.0))], strict=True):
        torch.testing.assert_close(value, torch.full_like(value, expected), rtol=1e-6, atol=0)
    assert nodes["0.bias.slab"]["fn"].base_dist.scale.unique().item() == pytest.approx(0.3)


def test_every_weight_is_tied_to_the_units_at_both_its_ends():
    """What a weight and a bias cost is weighted by the probability that all their gates are open."""
    model = SparseNetwork(dense(), gates={"0": "input", "2": "input"})
    guide = AutoHardConcrete(model, data_for(model)).perturb(1, gates=2.0)
    laws = guide.laws()
    inputs, hidden = laws["0.gate"].prob_active, laws["2.gate"].prob_active
    torch.testing.assert_close(laws["0.weight.slab"].activity, hidden[:, None] * inputs)
    torch.testing.assert_close(laws["0.bias.slab"].activity, hidden)
    torch.testing.assert_close(laws["2.weight.slab"].activity, hidden.expand(3, 4))
    torch.testing.assert_close(laws["2.bias.slab"].activity, torch.ones(3))
    torch.testing.assert_close(laws["4.weight.slab"].activity, torch.ones(2, 3))


def test_gates_on_weights_tie_nothing_else():
    model = SparseNetwork(dense(), gates={"2": "weight"})
    guide = AutoHardConcrete(model, data_for(model)).perturb(1, gates=2.0)
    laws = guide.laws()
    torch.testing.assert_close(laws["2.weight.slab"].activity, laws["2.gate"].prob_active)
    torch.testing.assert_close(laws["2.bias.slab"].activity, torch.ones(3))


# ---- shut units --------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh, nn.Softplus])
@pytest.mark.parametrize("gates", [{"2": "input"}, {"0": "output"}])
def test_a_shut_unit_leaves_no_trace_of_its_weights_or_bias(activation, gates):
    model = SparseNetwork(dense(activation), gates=gates)
    values = values_of(model)
    (site,) = (name for name in values if name.endswith(".gate"))
    values[site] = torch.tensor([1.0, 0.0, 0.3, 1.0])
    before = output(model, values)
    for name in ("0.weight.slab", "0.bias.slab"):
        values[name] = values[name].clone()
        values[name][1] += 100.0
    values["2.weight.slab"] = values["2.weight.slab"].clone()
    values["2.weight.slab"][:, 1] -= 50.0
    assert torch.equal(output(model, values), before)
    values["0.bias.slab"][0] += 100.0  # an open unit is felt
    assert not torch.equal(output(model, values), before)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid])
def test_a_gate_multiplies_the_activation(activation):
    model = SparseNetwork(dense(activation), gates={"2": "input", "0": "input"})
    values = values_of(model)
    z0, z2 = values["0.gate"], values["2.gate"]
    weights = {name: value for name, value in values.items() if name.endswith("slab")}
    hidden = activation()((X * z0) @ weights["0.weight.slab"].T + weights["0.bias.slab"]) * z2
    hidden = activation()(hidden @ weights["2.weight.slab"].T + weights["2.bias.slab"])
    expected = hidden @ weights["4.weight.slab"].T + weights["4.bias.slab"]
    torch.testing.assert_close(output(model, values), expected, rtol=0, atol=1e-12)


def test_a_shut_input_is_not_read():
    model = SparseNetwork(dense())
    values = values_of(model)
    values["0.gate"] = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
    changed = X.clone()
    changed[:, [1, 4]] = 1e3
    assert torch.equal(output(model, values, changed), output(model, values))


def test_images_are_flattened_by_the_network():
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 2))
    model = SparseNetwork(net)
    images, labels = torch.randn(4, 1, 2, 3), torch.tensor([0, 1, 1, 0])
    guide = AutoHardConcrete(model, (images, labels), slab="delta")
    set_gates(guide, 60.0)
    found = output(model, guide(images, labels), images)
    torch.testing.assert_close(found, net(images), rtol=0, atol=1e-12)


# ---- likelihoods -------------------------------------------------------------------------------------


def log_likelihood(model, y, values):
    with Given(values), torch.no_grad():
        trace = poutine.trace(model).get_trace(X, y)
        trace.compute_log_prob()
    return trace.nodes["y"]["log_prob_sum"].item()


def test_the_categorical_likelihood():
    model = SparseNetwork(dense())
    values, y = values_of(model), data_for(model)[1]
    expected = -nn.functional.cross_entropy(output(model, values), y, reduction="sum")
    assert log_likelihood(model, y, values) == pytest.approx(expected.item(), rel=1e-10)


def test_the_bernoulli_likelihood():
    model = SparseNetwork(dense(), likelihood="bernoulli")
    values, y = values_of(model), data_for(model)[1]
    expected = -nn.functional.binary_cross_entropy_with_logits(output(model, values), y, reduction="sum")
    assert log_likelihood(model, y, values) == pytest.approx(expected.item(), rel=1e-10)


def test_the_gaussian_likelihood():
    model = SparseNetwork(dense(), likelihood="gaussian", noise_scale=0.3)
    values, y = values_of(model), data_for(model)[1]
    residual = (y - output(model, values)).square().sum() / (2 * 0.09)
    expected = -residual - y.numel() * math.log(0.3 * math.sqrt(2 * math.pi))
    assert log_likelihood(model, y, values) == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("likelihood", ["categorical", "bernoulli", "gaussian"])
def test_targets_are_drawn_where_they_are_not_given(likelihood):
    model = SparseNetwork(dense(), likelihood=likelihood)
    trace = poutine.trace(model).get_trace(X)
    assert trace.nodes["y"]["value"].shape == data_for(model)[1].shape
    assert trace.nodes["_RETURN"]["value"].shape == (8, 2)


@pytest.mark.parametrize(("num_data", "factor"), [(None, 1.0), (8, 1.0), (40, 5.0)])
def test_a_minibatch_stands_for_all_data(num_data, factor):
    model = SparseNetwork(dense(), num_data=num_data)
    values, y = values_of(model), data_for(model)[1]
    expected = -factor * nn.functional.cross_entropy(output(model, values), y, reduction="sum")
    assert log_likelihood(model, y, values) == pytest.approx(expected.item(), rel=1e-10)


def test_the_kl_is_not_scaled_by_the_minibatch():
    guides = []
    for num_data in (8, 800):
        model = SparseNetwork(dense(), num_data=num_data)
        guide = AutoHardConcrete(model, data_for(model)).perturb(2)
        guides.append(MeanFieldELBO().terms(model, guide, *data_for(model)).kl)
    for name in guides[0]:
        torch.testing.assert_close(guides[0][name], guides[1][name])


def test_a_flat_slab_costs_nothing():
    model = SparseNetwork(dense(), slab=L2Penalty(0.0), inclusion=L0Penalty(0.5))
    guide = AutoHardConcrete(model, data_for(model), slab="delta")
    kl = MeanFieldELBO().terms(model, guide, *data_for(model)).kl
    assert all(value == 0.0 for name, value in kl.items() if name.endswith("slab"))
    active = guide.gates()["0.gate"].prob_active.sum()
    torch.testing.assert_close(kl["0.gate"], 0.5 * active)


# ---- training ----------------------------------------------------------------------------------------


def test_inputs_that_say_nothing_are_shut():
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(200, 6, generator=generator)
    y = (x[:, 0] + x[:, 1] > 0).long()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    model = SparseNetwork(net, inclusion=0.1)
    guide = AutoHardConcrete(model, (x, y), slab="delta", init_active=0.9, temperature=0.5)
    l0bayes.fit(model, guide, (x, y), steps=600, lr=0.01, compile="graph", progress=False)
    active = guide.gates()["0.gate"].prob_active
    assert (active[:2] > 0.95).all()
    assert (active[2:] < 0.2).all()
    small = model.deploy(guide)
    assert small.get_submodule("0").in_features == 2
    assert small.get_submodule("0").out_features < 8
    accuracy = (small(x).argmax(-1) == y).double().mean()
    assert accuracy > 0.95


# ---- refusals ----------------------------------------------------------------------------------------


def test_what_is_no_module():
    with pytest.raises(TypeError, match=r"net must be an nn.Module, got builtin_function"):
        SparseNetwork(torch.relu)


def test_a_layer_alone_has_no_name():
    with pytest.raises(TypeError, match=r"net is a single Linear, .* nn.Sequential\(net\)"):
        SparseNetwork(nn.Linear(3, 2))
    assert list(SparseNetwork(nn.Sequential(nn.Linear(3, 2))).plan.specs) == ["0.gate"]


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        (
            {"1": "input"},
            r"'1' is a ReLU, which cannot be gated on 'input'; that takes a Linear/Conv1d/Conv2d",
        ),
        (
            {"0": "heads"},
            "'0' is a Linear, which cannot be gated on 'heads'; that takes a MultiheadAttention",
        ),
        ({"1": "weight"}, "'1' is a ReLU, .* 'weight'; that takes a Linear/Conv1d/Conv2d/Embedding"),
        (3, "gates must be a placement or a mapping from module names, got int"),
    ],
)
def test_modules_that_cannot_be_gated(gates, message):
    with pytest.raises(TypeError, match=message):
        SparseNetwork(dense(), gates=gates)


def test_no_layer_at_all():
    with pytest.raises(ValueError, match="net holds no Linear or convolution to gate"):
        SparseNetwork(nn.Sequential(nn.ReLU()))


def test_modules_that_the_example_does_not_pass():
    net = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2))
    net.add_module("spare", nn.Identity())
    net.spare.layer = nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"the example did not go through 'spare.layer'"):
        SparseNetwork(net, gates="input")
    assert "spare.layer.weight" not in SparseNetwork(net, gates={"[01]": "input"}).links


@pytest.mark.parametrize("module", [nn.Softmax(-1), nn.LayerNorm(4, elementwise_affine=False), nn.GLU()])
def test_gated_units_that_are_mixed_before_they_are_read(module):
    """Without a unit the others would come out of a softmax larger, so that it cannot be taken out."""
    width = 2 if isinstance(module, nn.GLU) else 4
    net = nn.Sequential(nn.Linear(5, 4), module, nn.Linear(width, 2))
    by = {nn.Softmax: "_softmax", nn.LayerNorm: "LayerNorm '1'", nn.GLU: "glu"}[type(module)]
    with pytest.raises(
        ValueError, match=f"the units of '0' are gated but mixed by {by} before they are read"
    ):
        SparseNetwork(net, gates="output")
    with pytest.raises(ValueError, match="mixed by"):
        SparseNetwork(net, gates={"0": "output"})
    assert list(SparseNetwork(net, gates="weight").plan.specs) == ["0.gate", "2.gate"]
    assert SparseNetwork(net, gates="input").plan.specs["2.gate"].shape == (width,)  # behind it is well


@pytest.mark.parametrize(
    "module",
    [nn.GELU(), nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Identity(), nn.Hardtanh(), nn.LogSigmoid()],
)
def test_modules_that_act_on_each_unit_are_accepted(module):
    net = nn.Sequential(nn.Linear(5, 41), module, nn.Linear(41, 2))
    model = SparseNetwork(net)
    assert list(model.plan.specs) == ["0.gate", "2.gate"]
    assert not model.plan.trace.mixed


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        (
            {"layr1.*": "input"},
            r"'layr1.\*' matches no module .*near matches are .*'layer1.0'",
        ),
        (
            {"layer1.0": "input", "layer2.1": "weight"},
            r"'layer2.1' matches no module .*near matches are .*'layer1.1'",
        ),
        (
            {"9": "input"},
            r"'9' matches no module .* the modules are \['layer1', 'layer1.0', 'layer1.1', 'head'\]",
        ),
    ],
)
def test_unknown_modules(gates, message):
    net = nn.Sequential()
    net.add_module("layer1", nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)))
    net.add_module("head", nn.Linear(3, 2))
    with pytest.raises(ValueError, match=message):
        SparseNetwork(net, gates=gates)


@pytest.mark.parametrize("gates", ["inputs", {"2": "neurons"}, {"2": ["input", "neurons"]}])
def test_unknown_placements(gates):
    message = (
        r"gates must be one of input, output, weight, heads, block or a GateGroup; got '(inputs|neurons)'"
    )
    with pytest.raises(ValueError, match=message):
        SparseNetwork(dense(), gates=gates)


def test_units_that_are_gated_twice():
    message = r"the units that '2' reads are gated twice; they carry \['0.gate'\] too"
    with pytest.raises(ValueError, match=message):
        SparseNetwork(dense(), gates={"0": "output", "2": "input"})


def test_some_units_of_a_stream_that_are_gated_twice():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.read, self.head = (
                nn.Linear(*s) for s in [(5, 4), (5, 4), (4, 3), (3, 2)]
            )

        def forward(self, x):
            return self.head(self.read((self.one(x) + self.two(x)).relu()))

    with pytest.raises(ValueError, match="'read' reads are gated twice"):
        SparseNetwork(Tied(), gates={"one": "output", "read": "input"})
    tied = SparseNetwork(Tied(), gates={"one": "output", "two": "output"})
    assert list(tied.plan.specs) == ["one.gate"]  # one gate for the units of both


def test_outputs_that_leave_through_other_operations():
    net = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2), nn.Tanh())
    with pytest.raises(ValueError, match="the outputs of '1' leave the network through other operations"):
        SparseNetwork(net, gates={"1": "output"})


def test_a_convolution_in_front_needs_an_example():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(18, 2))
    with pytest.raises(ValueError, match=r"example is needed, .* its first layer is a Conv2d"):
        SparseNetwork(net)
    with pytest.raises(ValueError, match=r"could not be run on an example of shape \(1, 1, 8, 8\)"):
        SparseNetwork(net, example=torch.zeros(1, 1, 8, 8))
    assert SparseNetwork(net, example=torch.zeros(1, 1, 5, 5)).plan.specs["2.gate"].shape == (18,)


def test_depthwise_convolutions_have_gates_on_their_outputs():
    net = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1))
    with pytest.raises(ValueError, match=r"'1' is a depthwise convolution, .* gate its outputs instead"):
        SparseNetwork(net, gates={"1": "input"}, example=torch.zeros(1, 2, 5, 5))


def test_blocks_that_cannot_be_passed_by():
    with pytest.raises(ValueError, match="'0' is no residual block: its output is not added to anything"):
        SparseNetwork(dense(), gates={"0": "block"})


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ([], "the group 'rows' has no slices"),
        (
            [[("0.wight", 0)]],
            r"group 'rows' names unknown parameter '0.wight'; near matches are \['0.weight'",
        ),
        (
            [[("0.weight", 0)], [("0.weight", (slice(0, 2), 1))]],
            "slices of group 'rows' overlap in '0.weight'",
        ),
    ],
)
def test_groups(slices, message):
    with pytest.raises(ValueError, match=message):
        SparseNetwork(dense(), gates={"rows": GateGroup(slices)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inclusion": {"0": 0.5}}, r"inclusion gives no prior for the gated modules \['2', '4'\]"),
        ({"penalty": {"[02]": 1.0}}, r"penalty gives no prior for the gated modules \['4'\]"),
        ({"penalty": 1.0, "inclusion": 0.5}, "give one of .*; got inclusion and penalty"),
        ({"penalty": -1.0}, "penalty must not be negative, got -1.0"),
        ({"penalty": math.nan}, "penalty must not be negative, got nan"),
        (
            {"penalty": 1.0, "penalty_per": "weight"},
            "penalty_per must be one of gate, parameter; got 'weight'",
        ),
        ({"expected_active": 5}, "strictly between 0 and the 5 gates of '0.gate'; got 5"),
        ({"expected_active": {"*": 0}}, "strictly between 0 and the 5 gates of '0.gate'; got 0"),
        ({"slab": "fitted"}, "slab must be a distribution, a mapping or 'learned'; got 'fitted'"),
        ({"slab": {"0.*": dist.Normal(0.0, 1.0)}}, "slab gives no prior for '2.weight'"),
        ({"likelihood": "normal"}, "likelihood must be one of categorical, .* or a function; got 'normal'"),
        ({"noise_scale": "fitted"}, "noise_scale must be positive or 'learned', got 'fitted'"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        SparseNetwork(dense(), **options)


def test_a_slab_of_another_type():
    with pytest.raises(
        TypeError, match="slab must be a Pyro distribution, a mapping or 'learned'; got float"
    ):
        SparseNetwork(dense(), slab=1.0)


@pytest.mark.parametrize("value", [0, -5])
def test_num_data(value):
    with pytest.raises(ValueError, match=f"num_data must be at least 1, got {value}"):
        SparseNetwork(dense(), num_data=value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_noise_scale(value):
    with pytest.raises(ValueError, match=f"noise_scale must be positive or 'learned', got {value}"):
        SparseNetwork(dense(), likelihood="gaussian", noise_scale=value)


@pytest.mark.parametrize(
    ("likelihood", "y", "expected"),
    [
        ("categorical", torch.zeros(8, 2, dtype=torch.long), r"\(8,\)"),
        ("categorical", torch.zeros(7, dtype=torch.long), r"\(8,\)"),
        ("gaussian", torch.zeros(8), r"\(8, 2\)"),
        ("bernoulli", torch.zeros(8, 1), r"\(8, 2\)"),
    ],
)
def test_targets_of_another_shape(likelihood, y, expected):
    """A column of targets beside a row of them would broadcast to a square."""
    model = SparseNetwork(dense(), likelihood=likelihood)
    with pytest.raises(ValueError, match=f"y must have shape {expected} for the {likelihood} likelihood"):
        model(X, y)


def test_copies_work():
    model = SparseNetwork(dense())
    twin = copy.deepcopy(model)
    values = values_of(model)
    assert torch.equal(output(model, values), output(twin, values))


def test_a_deployed_network_is_not_gated_again():
    model = SparseNetwork(dense())
    guide = AutoHardConcrete(model, data_for(model))
    with torch.no_grad():
        getattr(guide.log_alpha, "0/gate")[0] = -10.0
    with pytest.raises(TypeError, match=r"'0' is a SelectiveLinear, .* was deployed before"):
        SparseNetwork(model.deploy(guide))


def test_making_a_guide_leaves_running_statistics():
    model = SparseNetwork(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)))
    x, y = torch.randn(8, 5), torch.randint(0, 2, (8,))
    before = {name: value.clone() for name, value in model.named_buffers()}
    AutoHardConcrete(model, (x, y))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_the_deployed_network_predicts():
    model = SparseNetwork(nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5), nn.Linear(4, 2)))
    guide = AutoHardConcrete(model, (torch.randn(8, 5), torch.zeros(8, dtype=torch.long)))
    assert model.training
    assert not model.deploy(guide).training
