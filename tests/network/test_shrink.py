"""Shrinking by hand-made gates: the small network is the large one with its shut units taken out."""

import pytest
import torch
from torch import nn

from l0bayes.network import LayerWeights, SelectInputs, shrink_sequential
from l0bayes.network.units import check_units

pytestmark = pytest.mark.usefixtures("float64")

X = torch.randn(7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def network(activation=nn.Tanh):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 3), activation(), nn.Linear(3, 2)).double()


def weights(net, **gates):
    """The network's own weights, with gates by layer name."""
    return {
        name: LayerWeights(module.weight.detach(), module.bias.detach(), gates.get(f"at{name}"))
        for name, module in net.named_children()
        if isinstance(module, nn.Linear)
    }


def gated(net, x, first=None, second=None, last=None):
    """The large network with gates on its inputs, its hidden units and its outputs."""
    x = x if first is None else x * first
    hidden = net[1](net[0](x))
    out = net[2](hidden if second is None else hidden * second)
    return out if last is None else out * last


def test_without_gates_it_is_a_copy():
    net = network()
    small = shrink_sequential(net, weights(net))
    torch.testing.assert_close(small(X), net(X), rtol=0, atol=0)
    assert [name for name, _ in small.named_children()] == ["0", "1", "2"]
    assert small[1] is not net[1]


def test_gates_between_0_and_1_are_folded_into_columns():
    net, first, second = network(), torch.tensor([0.5, 0.0, 1.0, 0.2]), torch.tensor([0.0, 0.7, 1.0])
    small = shrink_sequential(net, weights(net, at0=first, at2=second))
    torch.testing.assert_close(small(X), gated(net, X, first, second), rtol=0, atol=1e-14)
    shapes = [(m.in_features, m.out_features) for m in small if isinstance(m, nn.Linear)]
    assert shapes == [(3, 2), (2, 2)]
    assert small.get_submodule("select").index.tolist() == [0, 2, 3]
    torch.testing.assert_close(small.get_submodule("2").weight, net[2].weight[:, 1:] * second[1:])
    torch.testing.assert_close(small.get_submodule("0").bias, net[0].bias[1:])


def test_outputs_are_scaled_and_never_removed():
    net, last = network(), torch.tensor([0.0, 0.4])
    small = shrink_sequential(net, weights(net), last)
    torch.testing.assert_close(small(X), gated(net, X, last=last), rtol=0, atol=1e-14)
    assert small.get_submodule("2").out_features == 2


def test_a_layer_without_any_open_unit():
    net, second = network(nn.Sigmoid), torch.zeros(3)
    small = shrink_sequential(net, weights(net, at2=second))
    torch.testing.assert_close(small(X), net[2].bias.expand(7, 2), rtol=0, atol=0)
    assert small.get_submodule("2").in_features == 1


def test_no_input_is_read_where_all_are_shut():
    net, first = network(), torch.zeros(4)
    small = shrink_sequential(net, weights(net, at0=first))
    torch.testing.assert_close(small(X), gated(net, X, first), rtol=0, atol=1e-14)
    assert len(small.get_submodule("select").index) == 1


def test_the_selection_finds_a_name_that_is_free():
    net = nn.Sequential()
    net.add_module("flatten", nn.Flatten())
    net.add_module("select", nn.Linear(4, 2))
    gates = torch.tensor([1.0, 0.0, 1.0, 0.0])
    small = shrink_sequential(net, {"select": LayerWeights(net.select.weight, net.select.bias, gates)})
    assert [name for name, _ in small.named_children()] == ["flatten", "select_", "select"]
    torch.testing.assert_close(small(X), net(X * gates), rtol=0, atol=1e-14)


def test_several_layers_share_one_activation():
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(4, 3), relu, nn.Linear(3, 3), relu, nn.Linear(3, 1)).double()
    small = shrink_sequential(net, weights(net))
    assert len(small) == 5
    torch.testing.assert_close(small(X), net(X), rtol=0, atol=0)


def test_select_inputs():
    select = SelectInputs(torch.tensor([3, 1]))
    assert torch.equal(select(X), X[:, [3, 1]])
    assert torch.equal(select(X[None]), X[None][..., [3, 1]])
    assert repr(select) == "SelectInputs(2 columns)"
    assert list(select.state_dict()) == ["index"]


# ---- units that can be removed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "module", [nn.ReLU(), nn.GELU(), nn.Tanh(), nn.Softplus(), nn.Dropout(0.9), nn.LogSigmoid(), nn.ELU()]
)
@pytest.mark.parametrize("units", [1, 3, 64, 301])
def test_elementwise_modules_pass(module, units):
    net = nn.Sequential(nn.Linear(2, units), module, nn.Linear(units, 1))
    check_units(net, ["0", "2"], {"2": "input"})


@pytest.mark.parametrize("units", [2, 3, 64, 3000])
@pytest.mark.parametrize("module", [nn.Softmax(-1), nn.LogSoftmax(-1), nn.Softmin(-1)])
def test_modules_that_mix_units_are_refused(module, units):
    net = nn.Sequential(nn.Linear(2, units), nn.ReLU(), module, nn.Linear(units, 1))
    with pytest.raises(ValueError, match=r"layers '0' and '3' are gated but mixed.*\(ReLU, "):
        check_units(net, ["0", "3"], {"0": "output"})


@pytest.mark.parametrize("placement", [{}, {"0": "weight", "2": "weight"}, {"0": "input", "2": "output"}])
def test_ungated_units_may_be_mixed(placement):
    net = nn.Sequential(nn.Linear(2, 4), nn.Softmax(-1), nn.Linear(4, 1))
    check_units(net, ["0", "2"], placement)


def test_a_module_made_for_a_number_of_units():
    net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 1))
    with pytest.raises(ValueError, match="BatchNorm1d"):
        check_units(net, ["0", "2"], {"2": "input"})
    assert net[1].num_batches_tracked == 0
