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
from l0bayes.infer.draws import Given
from l0bayes.models import SparseNetwork
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
    guide = AutoHardConcrete(model, data_for(model), slab="delta")
    l0bayes.fit(model, guide, data_for(model), steps=3, lr=0.1, compile="eager", progress=False)
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


def test_what_is_no_sequential():
    with pytest.raises(TypeError, match=r"net must be an nn.Sequential of Linear layers, got Linear"):
        SparseNetwork(nn.Linear(3, 2))


@pytest.mark.parametrize(
    "module", [nn.Conv2d(1, 1, 3), nn.BatchNorm1d(4), nn.PReLU(), nn.Sequential(nn.Linear(4, 4))]
)
def test_modules_that_cannot_be_gated(module):
    net = nn.Sequential(nn.Linear(5, 4), module, nn.Linear(4, 2))
    kind = type(module).__name__
    with pytest.raises(TypeError, match=rf"net\['1'\] is a {kind} with parameters, which cannot be gated"):
        SparseNetwork(net)


def test_no_linear_layer():
    with pytest.raises(ValueError, match="net holds no Linear layer"):
        SparseNetwork(nn.Sequential(nn.ReLU()))


def test_a_layer_that_stands_in_two_places():
    layer = nn.Linear(4, 4)
    with pytest.raises(ValueError, match=r"net\['2'\] is a Linear layer that stands in net before"):
        SparseNetwork(nn.Sequential(layer, nn.ReLU(), layer))


@pytest.mark.parametrize("module", [nn.Softmax(-1), nn.LayerNorm(4, elementwise_affine=False), nn.GLU()])
@pytest.mark.parametrize("gates", ["input", "output"])
def test_gated_units_that_are_mixed_before_they_are_read(module, gates):
    """Without a unit the others would come out of a softmax larger, so that it cannot be taken out."""
    width = 2 if isinstance(module, nn.GLU) else 4
    net = nn.Sequential(nn.Linear(5, 4), module, nn.Linear(width, 2))
    message = f"the units between layers '0' and '2' are gated but mixed .*{type(module).__name__}"
    with pytest.raises(ValueError, match=message):
        SparseNetwork(net, gates=gates)
    assert SparseNetwork(net, gates="weight").placement == {"0": "weight", "2": "weight"}


@pytest.mark.parametrize(
    "module",
    [nn.GELU(), nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Identity(), nn.Hardtanh(), nn.LogSigmoid()],
)
def test_modules_that_act_on_each_unit_are_accepted(module):
    net = nn.Sequential(nn.Linear(5, 41), module, nn.Linear(41, 2))
    assert SparseNetwork(net).placement == {"0": "input", "2": "input"}


@pytest.mark.parametrize("gates", [{"1": "input"}, {"0": "input", "9": "weight"}])
def test_unknown_layers(gates):
    unknown = next(name for name in gates if name != "0")
    with pytest.raises(ValueError, match=rf"unknown layers \['{unknown}'\]; .* \['0', '2', '4'\]"):
        SparseNetwork(dense(), gates=gates)


@pytest.mark.parametrize("gates", ["inputs", {"2": "neurons"}])
def test_unknown_placements(gates):
    with pytest.raises(
        ValueError, match=r"gates must be one of input, output, weight; got '(inputs|neurons)'"
    ):
        SparseNetwork(dense(), gates=gates)


def test_units_that_are_gated_twice():
    with pytest.raises(ValueError, match="the units between layers '0' and '2' are gated twice"):
        SparseNetwork(dense(), gates={"0": "output", "2": "input"})


def test_a_gated_layer_without_a_prior():
    with pytest.raises(ValueError, match=r"inclusion gives no prior for the gated layers \['2', '4'\]"):
        SparseNetwork(dense(), inclusion={"0": 0.5})


def test_unknown_likelihood():
    with pytest.raises(ValueError, match=r"likelihood must be one of categorical, .*; got 'poisson'"):
        SparseNetwork(dense(), likelihood="poisson")


@pytest.mark.parametrize("value", [0, -5])
def test_num_data(value):
    with pytest.raises(ValueError, match=f"num_data must be at least 1, got {value}"):
        SparseNetwork(dense(), num_data=value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_noise_scale(value):
    with pytest.raises(ValueError, match=f"noise_scale must be positive, got {value}"):
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
