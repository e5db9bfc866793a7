"""Modules and parameters that have several names, or are used in several places, are one thing."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork
from l0bayes.network import GateGroup, count_macs
from tests.network.zoo import lay_out, normal, seeded

pytestmark = pytest.mark.usefixtures("float64")
IMAGES, VECTORS = normal(6, 2, 6, 6), normal(6, 5)


class Staged(nn.Module):
    """Children of a backbone put into stages again: every layer has two names."""

    def __init__(self):
        super().__init__()
        self.base = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3))
        self.first, self.second = (
            nn.Sequential(*self.base[:2], nn.ReLU()),
            nn.Sequential(self.base[2], nn.ReLU()),
        )
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x)).mean((2, 3)))


class Doubled(nn.Module):
    """Every layer as an attribute, and again in the Sequential that runs."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(5, 6), nn.Linear(6, 4), nn.Linear(4, 3)
        self.body = nn.Sequential(self.one, nn.Tanh(), self.two, nn.ReLU(), self.three)

    def forward(self, x):
        return self.body(x)


class OneBlock(nn.Module):
    """A residual block under another name than that of its layers."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(5, 7), nn.Linear(7, 5)
        self.block, self.head = nn.Sequential(self.up, nn.ReLU(), self.down), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(x + self.block(x))


class TiedHead(nn.Module):
    """The table of an embedding is the last layer's weight."""

    def __init__(self):
        super().__init__()
        self.words, self.hidden, self.head = nn.Embedding(7, 6), nn.Linear(6, 6), nn.Linear(6, 7, bias=False)
        self.inner = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6))
        self.head.weight = self.words.weight

    def forward(self, x):
        return self.head(self.inner(self.hidden(self.words(x).mean(1)).tanh()))


class TiedTwins(nn.Module):
    """Two layers of one weight."""

    def __init__(self):
        super().__init__()
        self.first, self.one, self.two, self.head = (nn.Linear(*s) for s in [(5, 6), (6, 6), (6, 6), (6, 3)])
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.head(self.two(self.one(self.first(x).relu()).relu()).relu())


class TiedDecoder(nn.Module):
    """The decoder multiplies by the encoder's weight, transposed."""

    def __init__(self):
        super().__init__()
        self.encode, self.inner, self.out = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(functional.linear(self.inner(self.encode(x).relu()).relu(), self.encode.weight.t()))


class Repeated(nn.Module):
    """One layer called at two places."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.head = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.again(self.again(self.first(x).relu()).relu()).relu())


WORDS = torch.randint(0, 7, (6, 4), generator=torch.Generator().manual_seed(0))
NETWORKS = {
    "staged": (Staged, "output", IMAGES),
    "staged by the other name": (Staged, {"second.0": ["output", "weight"], "first.*": "output"}, IMAGES),
    "doubled": (Doubled, "input", VECTORS),
    "doubled by the other name": (Doubled, {"body.?": ["output", "weight"]}, VECTORS),
    "block": (OneBlock, {"block": "block", "up": "output"}, VECTORS),
    "tied head": (TiedHead, {"hidden": "input", "inner.2": "input"}, WORDS),
    "tied twins": (TiedTwins, {"head": "input", "first": "input"}, VECTORS),
    "tied twins group": (
        TiedTwins,
        {"rows": GateGroup([[("two.weight", (slice(None), i))] for i in range(6)]), "first": "input"},
        VECTORS,
    ),
    "tied decoder": (TiedDecoder, {"inner": "input", "out": "input"}, VECTORS),
    "repeated": (Repeated, {"first": "output", "head": "input"}, VECTORS),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_deployed_as_gated_and_counted_once(name):
    make, gates, x = NETWORKS[name]
    net = seeded(make).eval()
    laid = lay_out(net, gates, x)
    before = {key: value.clone() for key, value in laid.net.state_dict().items()}
    for seed in range(4):
        values = laid.gates(seed, 0.2, 0.9)
        with torch.no_grad():
            expected = laid.run(values)
            small = laid.shrink(values)
            torch.testing.assert_close(small(x), expected, rtol=0, atol=1e-12)
        assert sum(p.numel() for p in small.parameters()) <= sum(p.numel() for p in net.parameters())
        assert count_macs(small, (x,)) <= count_macs(net, (x,))
    assert all(torch.equal(value, before[key]) for key, value in laid.net.state_dict().items())


@pytest.mark.parametrize("make", [Staged, Doubled, TiedHead, TiedTwins, Repeated])
@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.filterwarnings("ignore:these modules stay as they are")
def test_training_leaves_names_and_ties_in_place(make, mode):
    x = {Staged: IMAGES, TiedHead: WORDS}.get(make, VECTORS)
    net = seeded(make)
    model = SparseNetwork(net, "input", slab=L2Penalty(0.0), inclusion=L0Penalty(0.0), example=x, num_data=6)
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    guide = AutoHardConcrete(model, (x, y), slab="delta", init_active=0.9)
    l0bayes.fit(model, guide, (x, y), steps=4, compile=mode, progress=False)
    assert all(type(p) is nn.Parameter for p in model.net.parameters())
    names = dict(net.named_parameters(remove_duplicate=False))
    ours = dict(model.net.named_parameters(remove_duplicate=False))
    for one in names:
        for other in names:
            assert (names[one] is names[other]) == (ours[one] is ours[other])
    small = model.eval().deploy(guide)
    small_names = dict(small.named_parameters(remove_duplicate=False))
    pairs = [(one, other) for one in names for other in names if names[one] is names[other]]
    assert all(small_names[one] is small_names[other] for one, other in pairs)
    table = model.cost_summary(guide)
    assert sum(p.numel() for p in small.parameters()) == table["deployed_params"]


def test_reasons_name_what_is_shared():
    with pytest.raises(TypeError, match=r"'head': its weight is shared with 'words.weight'"):
        lay_out(seeded(TiedHead), {"head": "input"}, WORDS)
    with pytest.raises(ValueError, match="'encode' cannot be gated: its parameters are used outside of it"):
        lay_out(seeded(TiedDecoder), {"encode": "output"}, VECTORS)
    laid = lay_out(seeded(TiedTwins), {"first": "input"}, VECTORS)
    assert "shared with 'one.weight'" in laid.plan.trace.others["two"].reason


def test_a_block_is_what_runs_in_it():
    laid = lay_out(seeded(OneBlock).eval(), {"block": "block"}, VECTORS)
    assert laid.plan.blocks_around("up") == ["block.gate"]
    small = laid.shrink({"block.gate": torch.zeros(1)})
    torch.testing.assert_close(small(VECTORS), laid.net.head(VECTORS))
    assert count_macs(small, (VECTORS,)) == 15


def test_priors_by_any_name():
    model = SparseNetwork(
        seeded(Doubled), {"body.2": "input"}, penalty={"body.*": 2.0}, slab={"body.*": L2Penalty(1.0)}
    )
    assert model.priors["two.gate"].penalty == 2.0
    assert set(model.slab_priors) == {f"{n}.{k}" for n in ("one", "two", "three") for k in ("weight", "bias")}
