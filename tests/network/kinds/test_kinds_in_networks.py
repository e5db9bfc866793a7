"""What kinds do to networks beyond one layer: shared gates, slopes, modules that are left alone."""

import copy

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork
from l0bayes.network import HeadAttention
from tests.network.zoo import HEADS, IMAGES, SETS, VECTORS, Tokens, lay_out, normal, seeded

pytestmark = pytest.mark.usefixtures("float64")


def grouped(groups=2):
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.GroupNorm(groups, 6), nn.ReLU(), nn.Conv2d(6, 3, 1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)),
    )


# ---- group normalisation -----------------------------------------------------------------------------


@pytest.mark.parametrize(("groups", "gates"), [(2, 2), (3, 3), (6, 6)])
def test_maps_that_share_a_mean_share_a_gate(groups, gates):
    laid = lay_out(seeded(grouped, groups), {"0": "output"}, IMAGES)
    assert laid.plan.specs["0.gate"].shape == (gates,)
    shut = torch.ones(gates)
    shut[1] = 0.0
    small = laid.shrink({"0.gate": shut})
    each = 6 // groups
    assert (small[0].out_channels, small[1].num_channels, small[1].num_groups) == (
        6 - each,
        6 - each,
        groups - 1,
    )


def test_one_group_mixes_all_maps():
    with pytest.raises(ValueError, match="mixed by GroupNorm '1' before they are read"):
        lay_out(seeded(grouped, 1), {"0": "output"}, IMAGES)
    laid = lay_out(seeded(grouped, 1), {"1": "output"}, IMAGES)
    assert laid.plan.specs["1.gate"].shape == (6,)
    small = laid.shrink({"1.gate": torch.tensor([1.0, 0, 1, 1, 0, 1])})
    assert small[1].num_channels == 6
    assert small[3].in_channels == 4


def test_a_group_goes_when_all_of_its_maps_are_shut_for_those_who_read_it():
    laid = lay_out(seeded(grouped, 3), {"3": "input"}, IMAGES)
    gates = {"3.gate": torch.tensor([1.0, 1, 0, 1, 0, 0])}
    small = laid.shrink(gates)
    assert (small[1].num_groups, small[1].num_channels, small[3].in_channels) == (2, 4, 3)
    torch.testing.assert_close(small(IMAGES), laid.run(gates), rtol=0, atol=1e-12)


# ---- slopes ------------------------------------------------------------------------------------------


def test_one_slope_for_all_is_like_any_activation():
    net = seeded(lambda: nn.Sequential(nn.Linear(3, 5), nn.PReLU(), nn.Linear(5, 2)))
    laid = lay_out(net, {"0": "output"}, SETS)
    assert "1" not in laid.plan.trace.layers
    assert laid.shrink({"0.gate": torch.tensor([1.0, 0, 0, 1, 1])})[0].out_features == 3


def test_slopes_of_units_and_data():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.slopes, self.last = nn.Linear(5, 4), nn.PReLU(9), nn.Linear(9, 2)

        def forward(self, x):
            return self.last(self.slopes(torch.cat([self.first(x), x], -1)))

    laid = lay_out(seeded(Beside), {"first": "output"}, VECTORS)
    gates = {"first.gate": torch.tensor([0.0, 1.0, 0.5, 0.0])}
    small = laid.shrink(gates)
    assert (small.slopes.num_parameters, small.last.in_features) == (9, 7)
    torch.testing.assert_close(small(VECTORS), laid.run(gates), rtol=0, atol=1e-12)


# ---- modules that are left alone ---------------------------------------------------------------------


class Doubled(nn.Linear):
    def forward(self, x):
        return 2.0 * super().forward(x)


def test_attention_stays_ours_beside_a_module_that_torch_would_pass_by():
    """The fused path of nn.TransformerEncoderLayer reads the weights of a subclass and not its forward."""
    net = seeded(Tokens)
    twin = Doubled(8, 6)
    twin.load_state_dict(net.layer.linear1.state_dict())
    net.layer.linear1 = twin
    with pytest.warns(UserWarning, match=r"stay as they are.*'layer.linear1': Doubled is a subclass"):
        laid = lay_out(net, {"layer.*": "input", "head": "input"}, SETS)
    gates = {site: torch.ones(spec.shape) for site, spec in laid.plan.specs.items()}
    with torch.no_grad():
        small = laid.shrink(gates).eval()
        assert type(small.layer.self_attn) is HeadAttention
        torch.testing.assert_close(small(SETS), laid.run(gates), rtol=0, atol=1e-12)
        torch.testing.assert_close(small(SETS), net.train()(SETS), rtol=0, atol=1e-12)


def test_parts_of_attention_are_not_named():
    net = Tokens()
    net.layer.self_attn = nn.MultiheadAttention(8, 4, batch_first=True, add_zero_attn=True)
    laid = lay_out(net, {"head": "input", "*.linear2": "input"}, SETS)
    assert list(laid.plan.trace.others) == ["layer.self_attn"]
    assert "add_zero_attn" in laid.plan.trace.others["layer.self_attn"].reason
    with pytest.raises(TypeError, match=r"on 'heads' of 'layer.self_attn': it has add_zero_attn$"):
        lay_out(net, HEADS, SETS)


def test_a_layer_whose_weight_a_hook_computes_may_be_trained_copied_and_deployed():
    x, y = normal(8, 5), torch.randint(0, 2, (8,), generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.utils.spectral_norm(nn.Linear(5, 6)), nn.ReLU(), nn.Linear(6, 2)).double()
    model = SparseNetwork(net, gates={"2": "input"})
    guide = AutoHardConcrete(model, (x, y), slab="delta")
    before = model.net[0].weight_orig.detach().clone()
    l0bayes.fit(model, guide, (x, y), steps=3, lr=0.01, compile="graph", progress=False, restarts=2)
    assert not torch.equal(model.net[0].weight_orig, before)
    twin, small = copy.deepcopy(model.eval()), model.deploy(guide)
    assert torch.equal(twin.net(x), model.net(x))
    assert small(x).shape == (8, 2)
