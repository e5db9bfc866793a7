"""The small print of Eq. 2: what stands behind open gates and is 0 all the same is not counted as kept."""

import pytest
import torch
from torch import nn

from l0bayes.distributions import Gate, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO
from l0bayes.models import SparseNetwork
from l0bayes.network import count_macs, count_nonzero

pytestmark = pytest.mark.usefixtures("float64")

IN, HIDDEN, OUT = 6, 8, 3
X = torch.linspace(-2.0, 2.0, 10 * IN).reshape(10, IN).sin().double()
Y = torch.arange(10) % OUT


def network(spoil=None):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(IN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, OUT))
    with torch.no_grad():
        if spoil is not None:
            spoil(net[0].weight, net[0].bias, net[2].weight)
    return net


def exported(net, gates="input"):
    """Layer table, exported network and model, with all gates open."""
    model = SparseNetwork(net, gates=gates, inclusion=Gate(0.5), slab=L2Penalty(0.0))
    guide = AutoHardConcrete(model, (X, Y), slab="delta", init_active=0.99)
    return model.layer_table(guide, (X, Y)), model.deploy(guide), model, guide


def single_weights(into, bias, out):
    into[0, :4] = 0.0


def units_nobody_reads(into, bias, out):
    out[:, :3] = 0.0


def unread_input(into, bias, out):
    into[:, 2] = 0.0


def units_without_input(into, bias, out):
    into[:2] = 0.0


def units_that_never_fire(into, bias, out):
    into[5], bias[5] = 0.1, -100.0


# Of each kind of dead weights: sizes of the exported layers, and how many of the open parameters are not 0.
DEAD = {
    single_weights: ("6-8", "8-3", 4),
    units_nobody_reads: ("6-5", "5-3", 3 * (IN + 1) + 3 * OUT),
    unread_input: ("5-8", "8-3", HIDDEN),
    units_without_input: ("6-8", "8-3", 2 * IN),
    units_that_never_fire: ("6-8", "8-3", 0),
}


@pytest.mark.parametrize("spoil", DEAD, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("gates", ["input", "weight"])
def test_dead_weights_are_open_and_not_counted_as_kept(gates, spoil):
    first, last, dead = DEAD[spoil]
    net = network(spoil)
    table, small, model, _ = exported(net, gates)
    total = sum(parameter.numel() for parameter in net.parameters())
    assert table["deployed open"].sum() == table["gates"].sum()
    assert table["open weights"].sum() == table["dense weights"].sum() == total
    assert table["deployed weights"].sum() == count_nonzero(small) == total - dead
    assert list(table["deployed"]) == [first, last]
    with torch.no_grad():
        torch.testing.assert_close(small(X), net(X), rtol=0, atol=1e-12)
    into, units = (int(size) for size in first.split("-"))
    assert table["deployed MACs"].sum() == model.cost.dense["macs"]
    assert count_macs(small, (X[:1],)) == into * units + units * OUT


def test_open_weights_are_those_whose_gates_are_all_open():
    *_, model, guide = exported(network())
    with torch.no_grad():
        for name, parameter in guide.log_alpha.named_parameters():
            parameter[: 2 if name.startswith("0/") else 3] = -20.0
    table = model.layer_table(guide, (X, Y))
    assert table["open weights"]["0"] == (IN - 2) * (HIDDEN - 3) + (HIDDEN - 3)
    assert table["open weights"]["2"] == (HIDDEN - 3) * OUT + OUT
    assert list(table["open weights"]) == list(table["deployed weights"])


def test_a_unit_dies_with_its_last_weight_and_its_open_gates_are_counted_still():
    *_, model, guide = exported(network(), "weight")
    with torch.no_grad():
        for name, parameter in guide.log_alpha.named_parameters():
            if name.startswith("2/"):
                parameter[:, :3] = -20.0
    table, small = model.layer_table(guide, (X, Y)), model.deploy(guide)
    assert table["open weights"]["0"] == HIDDEN * (IN + 1)
    assert table["deployed weights"]["0"] == (HIDDEN - 3) * (IN + 1)
    assert table["open weights"]["2"] == table["deployed weights"]["2"]
    assert count_macs(small, (X[:1],)) < table["deployed MACs"].sum()


def test_an_idle_gate_returns_to_its_prior():
    """Nothing of the data depends on it: what is left of the objective is its KL."""
    net = network(units_that_never_fire)
    model = SparseNetwork(net, gates={"2": "input"}, inclusion=Gate(0.7), slab=L2Penalty(0.0))
    guide = AutoHardConcrete(model, (X, Y), slab="delta", init_active=0.7)
    law = guide.gates()["2.gate"]
    MeanFieldELBO()(model, guide)(X, Y).backward()
    (gradient,) = (parameter.grad for parameter in guide.gate_parameters())
    assert law.prob_active[5].item() == pytest.approx(0.7)
    assert abs(float(gradient[5])) < 1e-12
    assert (gradient[:5].abs() > 1e-6).any()


def test_parameters_that_are_shared_or_zero_are_counted_once_or_not():
    layer = nn.Linear(4, 4)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.weight[0] = 0.0
        layer.bias.zero_()
    assert count_nonzero(nn.Sequential(layer, layer)) == 12
    assert count_nonzero(nn.ReLU()) == 0
