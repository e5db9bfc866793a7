"""The deployed network equals the gated one, and its size and table are counted on it."""

import math

import pytest
import torch
from torch import nn

from l0bayes.distributions import L0Penalty, deployed_gates
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.models import SparseNetwork
from l0bayes.network import SelectiveLinear
from tests.models.networks import PLACEMENTS, X, data_for, dense, set_gates

pytestmark = pytest.mark.usefixtures("float64")

RULES = ["median", "mean", "eq13", "sample", "top_k"]


def moved(model, seed=5, **options):
    """A guide with undecided, open and shut gates."""
    return AutoHardConcrete(model, data_for(model), **options).perturb(seed, gates=3.0, locs=0.3)


def gated_output(model, guide, rule, x=X):
    """The model's output with deployed gates and median slabs put in place of its latents."""
    slabs = {name: value for name, value in guide.median().items() if name.endswith("slab")}
    gates = {name: deployed_gates(law, rule) for name, law in guide.gates().items()}
    with Given({**slabs, **gates}), torch.no_grad():
        return model(x)


# ---- the same function -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gates", PLACEMENTS)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid])
def test_the_deployed_network_is_the_gated_network(rule, gates, activation):
    model = SparseNetwork(dense(activation), gates=gates)
    guide = moved(model)
    torch.manual_seed(0)
    small = model.deploy(guide, rule)
    torch.manual_seed(0)
    expected = gated_output(model, guide, rule)
    torch.testing.assert_close(small(X), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("last", [nn.Sigmoid(), nn.Softmax(-1), nn.Softplus()])
def test_gates_on_outputs_that_an_activation_follows(last):
    """They could not be folded into the last layer; hidden units have theirs."""
    with pytest.raises(ValueError, match=r"the (outputs|units) of '4'"):
        SparseNetwork(dense(last=last), gates={"4": "output"}, likelihood="gaussian")
    model = SparseNetwork(dense(last=last), gates="output", likelihood="gaussian")
    guide = moved(model)
    expected = gated_output(model, guide, "median")
    torch.testing.assert_close(model.deploy(guide)(X), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gates", ["input", "output", "weight"])
def test_with_every_gate_shut_only_biases_remain(gates):
    model = SparseNetwork(dense(nn.Sigmoid), gates=gates)
    guide = set_gates(moved(model), -60.0)
    small = model.deploy(guide)
    torch.testing.assert_close(small(X), gated_output(model, guide, "median"), rtol=0, atol=1e-12)
    assert torch.equal(small(X), small(X)[:1].expand(8, -1))


@pytest.mark.parametrize("gates", ["input", "output", "weight"])
def test_with_every_gate_open_it_is_the_dense_network(gates):
    net = dense(nn.Tanh)
    model = SparseNetwork(net, gates=gates)
    guide = set_gates(AutoHardConcrete(model, data_for(model), slab="delta"), 60.0)
    small = model.deploy(guide)
    torch.testing.assert_close(small(X), net(X), rtol=0, atol=1e-12)
    assert [type(module) for module in small] == [type(module) for module in net]


def test_layers_without_biases():
    net = nn.Sequential(nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False))
    model = SparseNetwork(net)
    guide = moved(model)
    small = model.deploy(guide)
    torch.testing.assert_close(small(X), gated_output(model, guide, "median"), rtol=0, atol=1e-12)
    assert small.get_submodule("2").bias is None


def test_images_of_which_columns_are_left_out():
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 2))
    model = SparseNetwork(net)
    images, labels = torch.randn(4, 1, 2, 3), torch.tensor([0, 1, 1, 0])
    guide = AutoHardConcrete(model, (images, labels)).perturb(3, gates=3.0)
    small = model.deploy(guide)
    assert [name for name, _ in small.named_children()] == ["0", "1", "2", "3"]
    assert isinstance(small.get_submodule("1"), SelectiveLinear)
    expected = gated_output(model, guide, "median", images)
    torch.testing.assert_close(small(images), expected, rtol=0, atol=1e-12)


# ---- its size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["median", "mean", "eq13", "top_k"])
def test_units_are_those_with_open_gates(rule):
    model = SparseNetwork(dense())
    guide = moved(model)
    open_ = {n: int((deployed_gates(law, rule) != 0).sum()) for n, law in guide.gates().items()}
    small = model.deploy(guide, rule)
    shapes = [
        (small.get_submodule(n).in_features, small.get_submodule(n).out_features) for n in ("0", "2", "4")
    ]
    assert shapes == [
        (open_["0.gate"], open_["2.gate"]),
        (open_["2.gate"], open_["4.gate"]),
        (open_["4.gate"], 2),
    ]
    if rule == "mean":
        assert shapes == [(5, 4), (4, 3), (3, 2)]
    else:
        assert 0 < open_["0.gate"] < 5


def test_dropped_inputs_are_not_selected():
    model = SparseNetwork(dense(), gates={"0": "input"})
    guide = moved(model)
    parameter = next(iter(guide.gate_parameters()))
    with torch.no_grad():
        parameter.copy_(torch.tensor([9.0, -9.0, 9.0, 9.0, -9.0]))
    small = model.deploy(guide)
    first = small.get_submodule("0")
    assert isinstance(first, SelectiveLinear)
    assert first.index.tolist() == [0, 2, 3]
    changed = X.clone()
    changed[:, [1, 4]] = math.nan
    assert torch.equal(small(changed), small(X))


def test_gates_on_weights_leave_zeros_and_the_units_that_are_read():
    model = SparseNetwork(dense(), gates="weight")
    guide = set_gates(moved(model), 60.0)
    shut = dict(zip(guide.gates(), guide.gate_parameters(), strict=True))
    with torch.no_grad():
        shut["0.gate"][:, 2] = -60.0  # an input that is not read
        shut["2.gate"][1, 0] = -60.0
        shut["4.gate"][:, 1] = -60.0  # a unit that is not
    small = model.deploy(guide)
    weights = [small.get_submodule(name).weight for name in ("0", "2", "4")]
    assert [tuple(weight.shape) for weight in weights] == [(4, 4), (2, 4), (2, 2)]
    assert small.get_submodule("0").index.tolist() == [0, 1, 3, 4]
    assert all((weight != 0).all() for weight in weights)
    with torch.no_grad():
        shut["4.gate"][:, 1] = 60.0
        shut["0.gate"][:, 2] = 60.0
    small = model.deploy(guide)
    for name in ("0", "2", "4"):
        weight = small.get_submodule(name).weight
        assert torch.equal(weight == 0, guide.gates()[f"{name}.gate"].median == 0)


def test_a_layer_keeps_one_unit_where_all_are_shut():
    model = SparseNetwork(dense(), gates={"2": "input"})
    small = model.deploy(set_gates(moved(model), -60.0))
    assert small.get_submodule("2").in_features == 1
    assert torch.count_nonzero(small.get_submodule("2").weight) == 0


def test_the_deployed_network_is_plain_and_on_its_own():
    """Nothing is shared: neither modules nor memory."""
    net = nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    model = SparseNetwork(net, gates="output")
    guide = set_gates(moved(model), 60.0)
    small = model.deploy(guide)
    assert not {id(m) for m in small.modules()} & {id(m) for m in model.net.modules()}
    small.eval()
    assert model.net[1].training
    before = guide.median()["0.weight.slab"].clone()
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert torch.equal(guide.median()["0.weight.slab"], before)
    assert all(p.requires_grad for p in small.parameters())  # ready for fine-tuning
    assert small.get_submodule("0").weight.dtype == torch.float64


def test_a_saved_network_computes_the_same(tmp_path):
    model = SparseNetwork(dense())
    small = model.deploy(moved(model))
    torch.save(small, tmp_path / "small.pt")
    assert torch.equal(torch.load(tmp_path / "small.pt", weights_only=False)(X), small(X))


def test_unknown_rules():
    model = SparseNetwork(dense())
    with pytest.raises(ValueError, match=r"rule must be one of .*; got 'mode'"):
        model.deploy(moved(model), "mode")


# ---- the table ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["median", "mean", "eq13", "top_k"])
@pytest.mark.parametrize("gates", ["input", "weight", {"0": "output", "4": "weight"}])
def test_the_layer_table_is_counted_on_the_deployed_network(rule, gates):
    model = SparseNetwork(dense(), gates=gates)
    guide = moved(model)
    table, small = model.layer_table(guide, data_for(model), rule), model.deploy(guide, rule)
    assert list(table.index) == ["0", "2", "4"]
    for name, row in table.iterrows():
        layer, whole = small.get_submodule(name), model.net.get_submodule(name)
        law = guide.gates().get(f"{name}.gate")
        assert row["dense"] == f"{whole.in_features}-{whole.out_features}"
        assert row["deployed"] == f"{layer.in_features}-{layer.out_features}"
        assert row["dense weights"] == whole.weight.numel() + whole.bias.numel()
        assert row["dense weights"] >= row["open weights"] >= row["deployed weights"]
        assert row["deployed weights"] == int((layer.weight != 0).sum() + (layer.bias != 0).sum())
        if law is None:
            assert (row["gates on"], row["gates"], row["expected open"], row["deployed open"]) == (
                "none",
                0,
                0,
                0,
            )
            continue
        assert row["gates on"] == (gates if isinstance(gates, str) else gates[name])
        assert row["gates"] == law.prob_active.numel()
        assert row["expected open"] == pytest.approx(law.prob_active.sum().item())
        assert row["deployed open"] == int((deployed_gates(law, rule) != 0).sum())


def test_the_kl_of_the_table_is_the_objectives():
    model = SparseNetwork(dense(), inclusion=L0Penalty(0.7))
    guide = moved(model)
    table = model.layer_table(guide, data_for(model))
    kl = MeanFieldELBO().terms(model, guide, *data_for(model)).kl
    for name, row in table.iterrows():
        active = guide.gates()[f"{name}.gate"].prob_active.sum()
        assert row["KL gates"] == pytest.approx(0.7 * active.item())
        slabs = kl[f"{name}.weight.slab"] + kl[f"{name}.bias.slab"]
        assert row["KL slabs"] == pytest.approx(slabs.item())
    total = sum(value.item() for value in kl.values())
    assert table[["KL gates", "KL slabs"]].to_numpy().sum() == pytest.approx(total)


def test_a_sampled_table_describes_one_network():
    """The open gates it counts are those of the network whose weights it counts."""
    model = SparseNetwork(dense(), gates={"2": "input"})
    guide = set_gates(moved(model), -1.6)  # P(z != 0) = 1/2
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        row = model.layer_table(guide, data_for(model), "sample").loc["2"]
        seen.add(row["deployed open"])
        assert int(row["deployed"].split("-")[0]) == max(1, row["deployed open"])
    assert len(seen) > 1
