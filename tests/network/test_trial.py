"""Before training, one trial: what would be deployed is the gated network, of the size that is counted."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty, deployed_gates
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.models import SparseNetwork
from l0bayes.network import count_macs, gated, register_kind
from l0bayes.network.kinds import LinearKind
from tests.network.zoo import lay_out, normal, seeded

pytestmark = pytest.mark.usefixtures("float64")
IMAGES, VECTORS, VOLUMES = normal(6, 3, 8, 8), normal(6, 6), normal(6, 1, 4, 4, 4)
TOKENS = torch.randint(0, 9, (6, 5), generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 0, 1, 2])


class Unit(nn.Module):
    """Half of the maps through convolutions; then both halves are shuffled."""

    def __init__(self, width, shuffle):
        super().__init__()
        half = width // 2
        self.one, self.two, self.shuffle = nn.Conv2d(half, half, 1), nn.Conv2d(half, half, 1), shuffle

    def forward(self, x):
        left, right = x.chunk(2, 1)
        return self.shuffle(torch.cat([left, self.two(self.one(right).relu())], 1))


def by_views(x):
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Shuffled(nn.Module):
    def __init__(self, shuffle=by_views):
        super().__init__()
        self.stem, self.units = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Sequential(Unit(8, shuffle), Unit(8, shuffle)),
        )
        self.last, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.last(self.units(self.stem(x).relu())).relu().mean((2, 3)))


class Sized(nn.Module):
    """Sizes of its own in its forward, between two layers that are free of them."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three, self.head = (nn.Linear(*s) for s in [(6, 8), (8, 8), (8, 8), (8, 3)])

    def forward(self, x):
        x = self.two(self.one(x).relu()).relu().view(-1, 2, 4).transpose(1, 2).reshape(-1, 8)
        return self.head(self.three(x).relu())


class Upsampled(nn.Module):
    """Pixels made of maps."""

    def __init__(self, up):
        super().__init__()
        self.one, self.up = nn.Conv2d(3, 12, 3, padding=1), up
        self.two, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.two(self.up(self.one(x)).relu()).relu().mean((2, 3)))


class Function(nn.Module):
    """A function of torch on maps and the number 2."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x):
        return getattr(functional, self.name)(x, 2)


class Downsampled(Upsampled):
    """Maps made of pixels."""

    def __init__(self, up):
        super().__init__(up)
        self.two = nn.Conv2d(48, 4, 1)


class Beside(Upsampled):
    """Pixels made of maps of units, and of data."""

    def __init__(self, up):
        super().__init__(up)
        self.two = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        beside = torch.cat([self.one(x), x, x[:, :1]], 1)
        return self.head(self.two(self.up(beside).relu()).relu().mean((2, 3)))


class Moved(Upsampled):
    """Maps in other places."""

    def __init__(self, shuffle):
        super().__init__(shuffle)
        self.two = nn.Conv2d(12, 4, 1)


class Glued(nn.Module):
    """Half of the units are gates of the others."""

    def __init__(self):
        super().__init__()
        self.one, self.head = nn.Linear(6, 10), nn.Linear(5, 3)

    def forward(self, x):
        left, right = self.one(x).chunk(2, -1)
        return self.head(left * right.sigmoid())


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.words, self.rows = nn.Embedding(9, 6), kind(6, 5, batch_first=True)
        self.hidden, self.head = nn.Linear(5, 7), nn.Linear(7, 3)

    def forward(self, x):
        return self.head(self.hidden(self.rows(self.words(x))[0][:, -1]).relu())


class Volume(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv3d(1, 6, 3, padding=1), nn.Conv3d(6, 6, 3, padding=1)
        self.back, self.head = nn.ConvTranspose3d(6, 4, 2, 2), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.back(self.two(self.one(x).relu()).relu()).relu().mean((2, 3, 4)))


class ByHand(nn.Module):
    """Products in its forward, with and without parameters."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.weight = nn.Parameter(torch.randn(6, 6))

    def forward(self, x):
        x = functional.linear(x, self.weight)
        return self.head(self.hidden(x @ x.mT @ x).relu())


def encoder(**options):
    layer = nn.TransformerEncoderLayer(6, 3, 8, 0.0, batch_first=True, **options)
    return nn.Sequential(nn.Linear(6, 6), layer, nn.Linear(6, 3))


NETWORKS = {
    "shuffled by views": (Shuffled, "output", IMAGES),
    "shuffled by a module": (lambda: Shuffled(nn.ChannelShuffle(2)), "output", IMAGES),
    "shuffled, inputs": (Shuffled, "input", IMAGES),
    "sized": (Sized, "input", VECTORS),
    "sized, outputs": (Sized, "output", VECTORS),
    "pixel shuffle": (lambda: Upsampled(nn.PixelShuffle(2)), "output", IMAGES),
    "pixel shuffle, inputs": (lambda: Upsampled(nn.PixelShuffle(2)), "input", IMAGES),
    "pixel shuffle, a function": (lambda: Upsampled(Function("pixel_shuffle")), "output", IMAGES),
    "pixel unshuffle, a function": (
        lambda: Downsampled(Function("pixel_unshuffle")),
        {"one": "output"},
        IMAGES,
    ),
    "pixel shuffle, beside data": (lambda: Beside(nn.PixelShuffle(2)), "output", IMAGES),
    "moved by a module": (lambda: Moved(nn.ChannelShuffle(2)), "output", IMAGES),
    "moved by a function": (lambda: Moved(Function("channel_shuffle")), "output", IMAGES),
    "pixel unshuffle": (lambda: Downsampled(nn.PixelUnshuffle(2)), {"one": "output"}, IMAGES),
    "glued": (Glued, "output", VECTORS),
    "lstm": (lambda: Recurrent(nn.LSTM), "input", TOKENS),
    "gru": (lambda: Recurrent(nn.GRU), "input", TOKENS),
    "volume": (Volume, "input", VOLUMES),
    "by hand": (ByHand, {"h*": "input"}, VECTORS),
    "encoder": (encoder, {"1.self_attn": "heads", "1.linear2": "input"}, VECTORS[:, None]),
    "encoder, norm first": (
        lambda: encoder(norm_first=True),
        {"1.self_attn": "heads", "1.linear2": "input"},
        VECTORS[:, None],
    ),
}


def sparse(name, **options):
    make, gates, x = NETWORKS[name]
    model = SparseNetwork(
        seeded(make), gates, slab=L2Penalty(0.0), inclusion=L0Penalty(0.0), example=x, num_data=6, **options
    ).eval()
    y = Y[:, None] if x.dim() == 3 else Y
    guide = AutoHardConcrete(model, (x, y), slab="delta", init_active=0.9)
    return model, guide, x


def draw(guide, seed, share):
    generator = torch.Generator().manual_seed(seed)
    for parameter in guide.gate_parameters():
        shut = torch.rand(parameter.shape, generator=generator) < share
        parameter.data.copy_(torch.where(shut, -20.0, 20.0))


@pytest.mark.filterwarnings("ignore:the deployed network keeps its full size")
@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_deployed_as_gated_and_as_counted(name, share):
    """Whatever is shut, all gates of a layer too: the same function, of the size that the table says."""
    model, guide, x = sparse(name)
    for seed in range(3):
        draw(guide, seed, share)
        small, table = model.deploy(guide), model.cost_summary(guide)
        gates = {site: deployed_gates(law, "median") for site, law in guide.gates().items()}
        slabs = {site: value for site, value in guide.median().items() if site.endswith(".slab")}
        fresh = x.flip(0)
        with torch.no_grad(), Given({**gates, **slabs}):
            torch.testing.assert_close(small(fresh), model(fresh), rtol=0, atol=1e-11)
        assert table["deployed_macs"] == count_macs(small, (x[:2],))
        assert table["deployed_params"] == sum(p.numel() for p in small.parameters())
        opened = {site: (value != 0).double() for site, value in gates.items()}
        share = float(model.deployed_share("macs", opened))
        assert share == pytest.approx(table["deployed_macs"] / table["dense_macs"])


def test_pixels_that_are_made_of_maps_go_with_them():
    model, guide, _ = sparse("pixel shuffle")
    assert model.plan.specs["one.gate"].shape == (3,)  # four maps are one
    draw(guide, 0, 0.0)
    next(iter(guide.gate_parameters())).data[0] = -20.0
    small = model.deploy(guide)
    assert (small.one.out_channels, small.two.in_channels) == (8, 2)


def test_gates_act_once_behind_pixels_of_units_and_data():
    model, _, x = sparse("pixel shuffle, beside data")
    gates = {"one.gate": torch.tensor([0.3, 0.5, 0.8]), "two.gate": torch.ones(4)}
    net = model.net
    with torch.no_grad():
        found = gated(net, model.plan, {}, gates, (x,))
        maps = net.up(torch.cat([net.one(x), x, x[:, :1]], 1)).relu()
        maps = maps * torch.cat([gates["one.gate"], torch.ones(1)])[:, None, None]
        torch.testing.assert_close(found, net.head(net.two(maps).relu().mean((2, 3))))


@pytest.mark.parametrize("name", ["moved by a module", "moved by a function"])
def test_maps_that_change_places_leave_in_every_group(name):
    model, guide, _ = sparse(name)
    assert not model.plan.held
    assert model.plan.specs["one.gate"].shape == (6,)
    draw(guide, 0, 0.0)
    next(iter(guide.gate_parameters())).data[0] = -20.0
    small = model.deploy(guide)
    assert (small.one.out_channels, small.two.in_channels) == (10, 10)


@pytest.mark.parametrize("name", ["shuffled by views", "sized"])
def test_units_that_cannot_leave_are_named_and_counted_whole(name):
    model, guide, x = sparse(name)
    assert model.plan.held
    free = {"shuffled by views": "last", "sized": "head"}[name]
    assert free not in model.plan.held  # the others do get smaller
    with pytest.warns(UserWarning, match=f"leave these units at full size.*{next(iter(model.plan.held))}|"):
        l0bayes.fit(model, guide, (x, Y), steps=1, compile="eager", progress=False)
    draw(guide, 0, 1.0)
    with pytest.warns(UserWarning, match="the deployed network keeps its full size in '"):
        small = model.deploy(guide)
    assert count_macs(small, (x,)) == model.cost_summary(guide)["deployed_macs"]
    with pytest.raises(ValueError, match="can't be reached"), pytest.warns(UserWarning, match="full size"):
        l0bayes.fit(model, guide, (x, Y), steps=2, target="macs:0.01", progress=False)


def test_a_kind_that_counts_wrongly_is_named():
    class Doubled(nn.Linear):
        """Of a kind of its own, which counts half of what runs."""

        def forward(self, x):
            return super().forward(x) + super().forward(x)

    class DoubledKind(LinearKind):
        types = (Doubled,)
        name = "Doubled"

    register_kind(DoubledKind())
    net = seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), Doubled(5, 3)))
    with pytest.raises(ValueError, match="'2' would be deployed with other macs than are counted"):
        SparseNetwork(net, "input", example=VECTORS)


def test_a_kind_that_cuts_wrongly_is_named():
    class Plain(nn.Linear):
        pass

    class ForgetfulKind(LinearKind):
        """Loses the bias of a layer that is cut."""

        types = (Plain,)
        name = "Plain"

        def cut(self, module, made, read, select):
            module.bias.data.zero_()
            return super().cut(module, made, read, select)

    register_kind(ForgetfulKind())
    net = seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), Plain(5, 3)))
    with pytest.raises(
        ValueError, match=r"gates on .*: the network that would be deployed is not the gated one"
    ):
        SparseNetwork(net, {"2": "input"}, example=VECTORS)


def test_random_networks_are_not_compared():
    class Noisy(nn.Sequential):
        def forward(self, x):
            return super().forward(x + torch.randn_like(x))

    net = seeded(lambda: Noisy(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)))
    assert SparseNetwork(net, "input", example=VECTORS).plan.held == {}


def test_the_trial_leaves_no_trace():
    net = seeded(lambda: Shuffled())
    before = torch.get_rng_state()
    model = SparseNetwork(net, "input", example=IMAGES)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one, model.net.state_dict()[key]) for key, one in net.state_dict().items())
    assert model.net.training
    assert lay_out(net, "input", IMAGES).plan.specs.keys() == model.plan.specs.keys()
