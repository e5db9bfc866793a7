"""Sparse networks in training and after it: normalisation, captured steps, copies, what is deployed."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import deployed_gates
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import GradientStep, MeanFieldELBO, Minibatches
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.models import LeNet5Caffe, SparseNetwork, VisionTransformer, WideResNet
from l0bayes.network import count_macs
from tests.network.zoo import DIGITS, IMAGES, SETS, ZOO, Residual, Tokens, lenet, seeded

pytestmark = pytest.mark.usefixtures("float64")

Y = torch.tensor([0, 1, 2, 0, 1, 2])
CONVOLUTIONAL = {"[03]": "output", "8": "input"}


def convolutional(**options):
    return SparseNetwork(seeded(lenet), CONVOLUTIONAL, example=DIGITS, **options)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# ---- running statistics ------------------------------------------------------------------------------


def test_statistics_of_the_copy_alone_follow_training():
    net = seeded(lenet)
    before = {name: value.clone() for name, value in net.named_buffers()}
    model = SparseNetwork(net, CONVOLUTIONAL, example=DIGITS)
    assert same(before, dict(model.net.named_buffers()))
    guide = AutoHardConcrete(model, (DIGITS, Y), init_active=0.9)
    l0bayes.fit(model, guide, (DIGITS, Y), steps=3, lr=1e-3, compile="eager", progress=False)
    assert same(before, dict(net.named_buffers()))
    assert model.net[4].num_batches_tracked >= 3
    assert model.net[4].running_mean.abs().sum() > 0
    model.eval()
    after = {name: value.clone() for name, value in model.net.named_buffers()}
    model(DIGITS, Y)
    model.check_data(DIGITS, Y)
    model.deploy(guide)
    assert same(after, dict(model.net.named_buffers()))


def test_deploying_with_statistics_anew():
    model = convolutional()
    guide = AutoHardConcrete(model, (DIGITS, Y)).perturb(0, gates=2.0, locs=0.2)
    before = {name: value.clone() for name, value in model.net.named_buffers()}
    small = model.deploy(guide, recalibrate=DIGITS)
    maps = small[:4](DIGITS).transpose(0, 1).flatten(1)
    torch.testing.assert_close(small[4].running_mean, maps.mean(1))
    torch.testing.assert_close(small[4].running_var, maps.var(1))
    assert same(before, dict(model.net.named_buffers()))
    plain = model.deploy(guide)
    assert not torch.equal(plain[4].running_mean, small[4].running_mean)
    assert all(torch.equal(p, q) for p, q in zip(plain.parameters(), small.parameters(), strict=True))


# ---- captured steps ----------------------------------------------------------------------------------


def test_a_captured_step_is_the_eager_one_to_the_last_buffer():
    found = {}
    for mode in ("eager", "graph"):
        torch.manual_seed(0)
        model = convolutional(slab="learned")
        guide = AutoHardConcrete(model, (DIGITS, Y), init_active=0.8)
        objective = MeanFieldELBO()(model, guide)
        step = GradientStep(objective, mode)
        start = model.net[4].num_batches_tracked.clone()
        for seed in range(3):
            torch.manual_seed(seed)
            terms = torch.stack(step((DIGITS, Y)))
        assert step.mode == mode
        assert model.net[4].num_batches_tracked == start + 3
        gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
        buffers = {name: value.clone() for name, value in model.named_buffers()}
        found[mode] = terms, gradients, buffers
    for one, other in zip(*found.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert {"model.learned_scales.0/weight", "model.net.4.weight"} <= {
        n.replace("_model", "model") for n in gradients
    }


@pytest.mark.parametrize("name", ["tokens", "blocks", "residual output", "group", "words"])
def test_networks_of_every_kind_train(name):
    make, gates, x = ZOO[name]
    model = SparseNetwork(seeded(make), gates, example=x, num_data=6)
    y = Y % 2
    guide = AutoHardConcrete(model, (x, y), init_active=0.9, slab="delta")
    start = {key: value.clone() for key, value in guide.state_dict().items()}
    points = {key: p.clone() for key, p in model.net.named_parameters() if p.requires_grad}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = l0bayes.fit(model, guide, (x, y), steps=4, lr=1e-3, compile="graph", progress=False)
    assert result is not None
    assert all(value.isfinite().all() for value in guide.state_dict().values())
    moved = [not torch.equal(start[key], value) for key, value in guide.state_dict().items()]
    assert sum(moved) >= len(model.links)
    assert all(not torch.equal(points[key], dict(model.net.named_parameters())[key]) for key in points)


# ---- copies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize(
    "make", [convolutional, lambda: SparseNetwork(seeded(Tokens), "heads", example=SETS)]
)
def test_copies_stand_on_their_own(copied, make):
    model = make()
    x = DIGITS if make is convolutional else SETS
    y = Y % 2
    guide = AutoHardConcrete(model, (x, y)).perturb(0, gates=2.0, locs=0.2)
    twin, other = copied((model, guide))
    model.eval()
    twin.eval()
    values = guide(x, y)
    with torch.no_grad(), Given(values):
        expected = model(x)
        assert torch.equal(twin(x), expected)
    assert torch.equal(twin.deploy(other)(x), model.deploy(guide)(x))
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in model.parameters()}
    with torch.no_grad():
        for value in (*twin.parameters(), *twin.buffers()):
            value.zero_()
    with torch.no_grad(), Given(values):
        assert torch.equal(model(x), expected)
    assert all(twin.plan.trace.layers[n].module is twin.net.get_submodule(n) for n in twin.plan.trace.layers)


def test_another_precision():
    """The example that the network was traced on follows it."""
    torch.set_default_dtype(torch.float32)
    net = seeded(lenet).float()
    model = SparseNetwork(net, CONVOLUTIONAL, example=DIGITS.float()).double()
    guide = AutoHardConcrete(model, (DIGITS, Y)).double().perturb(0, gates=2.0)
    model.check_data(DIGITS, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = model.deploy(guide)
    assert small(DIGITS).dtype == torch.float64


# ---- deployed ----------------------------------------------------------------------------------------


class Viewed(nn.Module):
    """Sizes of its own in its forward."""

    def __init__(self, size):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(144, 3)
        self.size = size

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv(x).relu(), 2)
        return self.last(x.view(self.size(x), -1) if callable(self.size) else x.view(-1, self.size))


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_sizes_in_a_forward_keep_the_network_whole(kept):
    """Two maps of four fill one row of two examples: shapes could fit and values be wrong."""
    model = SparseNetwork(seeded(Viewed, 144), {"conv": "output", "last": "input"}, example=DIGITS[:4])
    guide = AutoHardConcrete(model, (DIGITS, Y), init_active=0.999)
    gates = dict(zip(guide.gates(), guide.gate_parameters(), strict=True))
    with torch.no_grad():
        gates["conv.gate"].copy_(torch.where(torch.arange(4) < kept, 9.0, -9.0))
        gates["last.gate"][::5] = -9.0
    with pytest.warns(UserWarning, match="the deployed network keeps its full size"):
        small = model.deploy(guide)
    assert small.conv.out_channels == 4
    opened = {name: deployed_gates(law, "median") for name, law in guide.gates().items()}
    slabs = {name: value for name, value in guide.median().items() if name.endswith("slab")}
    with torch.no_grad(), Given({**slabs, **opened}):
        torch.testing.assert_close(small(DIGITS), model(DIGITS), rtol=0, atol=1e-12)
    assert torch.count_nonzero(small.last.weight.any(0)) < 36 * kept


def test_sizes_read_off_the_data_are_no_obstacle():
    model = SparseNetwork(seeded(Viewed, len), {"conv": "output"}, example=DIGITS)
    guide = AutoHardConcrete(model, (DIGITS, Y), init_active=0.999)
    with torch.no_grad():
        next(iter(guide.gate_parameters()))[1] = -9.0
    assert model.deploy(guide).conv.out_channels == 3


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: LeNet5Caffe(widths=(4, 6, 20)), (1, 28, 28)),
        (lambda: WideResNet(10, 1), (3, 32, 32)),
        (lambda: VisionTransformer(8, 4, 3, dim=12, depth=2, heads=3, hidden=10), (3, 8, 8)),
    ],
)
def test_architectures_with_their_own_gates(make, shape):
    x = torch.randn(3, *shape)
    net = make().double()
    model = SparseNetwork(net, example=x).eval()
    guide = AutoHardConcrete(model, (x, Y[:3]), init_active=0.6).perturb(0, gates=2.0, locs=0.02)
    small = model.deploy(guide)
    values = {name: deployed_gates(law, "median") for name, law in guide.gates().items()}
    values |= {name: value for name, value in guide.median().items() if name.endswith("slab")}
    with torch.no_grad(), Given(values):
        torch.testing.assert_close(small(x), model(x), rtol=1e-9, atol=1e-11)
    table = model.cost_table(guide)
    assert table["macs"]["dense"] == count_macs(net, (x,))
    assert table["macs"]["median"] == count_macs(small, (x,)) < table["macs"]["dense"]
    assert table["params"]["median"] == sum(p.numel() for p in small.parameters())
    assert table["macs"]["median"] <= table["macs"]["mean"] == table["macs"]["dense"]
    summary = model.cost_summary(guide)
    assert summary["deployed_macs"] == table["macs"]["median"]
    assert summary["expected_params"] == table["params"]["expected"]
    assert summary["sd_units"] ** 2 == pytest.approx(
        sum((law.prob_active * (1 - law.prob_active)).sum().item() for law in guide.gates().values())
    )
    layers = model.layer_table(guide, (x, Y[:3]))
    assert layers["deployed MACs"].sum() == table["macs"]["median"]
    assert layers["expected MACs"].sum() == pytest.approx(table["macs"]["expected"], abs=len(layers))
    assert layers["dense MACs"].sum() == table["macs"]["dense"]


def test_layers_of_a_residual_network():
    model = SparseNetwork(seeded(Residual), "output", example=IMAGES)
    guide = AutoHardConcrete(model, (IMAGES, Y), init_active=0.9)
    table = model.layer_table(guide, (IMAGES, Y))
    assert list(table.index) == ["stem", "conv1", "conv2", "conv3", "head"]
    assert list(table["gates"]) == [4, 5, 0, 0, 0]
    assert model.smallest_share("units") == 2 / 9
    assert model.cost_kinds == ("params", "macs", "units")


@pytest.mark.parametrize("form", ["tuple", "minibatches"])
def test_labels_out_of_range_are_refused_before_training(form):
    """Also where the first batch holds none of them."""
    torch.manual_seed(0)
    x, y = torch.randn(40, 5), torch.randint(0, 2, (40,))
    model = SparseNetwork(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)))
    guide = AutoHardConcrete(model, (x, y))
    y[-1] = 2
    data = (x, y) if form == "tuple" else Minibatches(x, y, batch_size=4)
    with pytest.raises(ValueError, match="labels 0 to 1, for the network has 2 outputs; got 2"):
        l0bayes.fit(model, guide, data, steps=2, progress=False)
