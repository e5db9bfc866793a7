"""Any inputs and outputs: several, by name, in dictionaries, results in containers, classes second."""

import dataclasses
from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset, TensorDataset

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.likelihoods.categorical_likelihood import Categorical
from l0bayes.likelihoods.label_law import LabelLaw
from l0bayes.models import SparseNetwork

X, Z = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


def sparse(net, gates="input", **options):
    options = {"slab": L2Penalty(0.0), "inclusion": L0Penalty(0.0), **options}
    return SparseNetwork(net, gates, **options)


def trained(model, data, first=None, **options):
    guide = AutoHardConcrete(model, data if first is None else first, slab="delta", init_active=0.9)
    options = {"steps": 3, "progress": False, **options}
    return l0bayes.fit(model, guide, data, **options), guide


# ---- inputs ------------------------------------------------------------------------------------------


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.head = nn.Linear(5, 6), nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x, other):
        return self.head((self.left(x) + self.right(other)).relu())


class OfDictionary(Two):
    def forward(self, batch):
        return super().forward(batch["x"], batch["other"])


class Masked(Two):
    def forward(self, x, other=None, mask=None):
        return super().forward(x * mask[:, None], x if other is None else other)


MASK = (torch.arange(12) % 4 > 0).float()
INPUTS = {
    "a tuple": (Two, (X, Z), ((X, Z), Y)),
    "one by one": (Two, (X, Z), (X, Z, Y)),
    "by name": (Two, {"x": X, "other": Z}, ({"x": X, "other": Z}, Y)),
    "one dictionary": (OfDictionary, ({"x": X, "other": Z},), ({"x": X, "other": Z}, Y)),
    "with the target": (Two, {"x": X, "other": Z}, ({"x": X, "other": Z, "labels": Y},)),
    "some by name": (Masked, {"x": X, "mask": MASK}, ({"x": X, "mask": MASK}, Y)),
}


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("name", INPUTS)
def test_several_inputs(name, mode):
    make, example, data = INPUTS[name]
    torch.manual_seed(0)
    net = make()
    model = sparse(net, example=example, num_data=12)
    assert model.plan.specs["head.gate"].shape == (6,)
    assert model.cost.dense["macs"] == 5 * 6 * 2 + 6 * 3
    _, guide = trained(model, data, compile=mode)
    for parameter in guide.gate_parameters():
        parameter.data.copy_(torch.where(torch.arange(len(parameter)) % 2 == 0, 9.0, -9.0))
    small = model.eval().deploy(guide)
    inputs = {"x": X, "mask": MASK} if make is Masked else {"x": X, "other": Z}
    assert small.head.in_features == 3
    out = small(inputs) if make is OfDictionary else small(**inputs)
    assert out.shape == (12, 3)


class Rows(Dataset):
    def __init__(self, *names):
        self.names = names

    def __len__(self):
        return 12

    def __getitem__(self, row):
        values = (X[row], Z[row], Y[row]) if len(self.names) == 3 else (X[row], Y[row])
        return dict(zip(self.names, values, strict=True))


@pytest.mark.parametrize(
    "names", [("x", "y"), ("input", "target"), ("pixel_values", "labels"), ("x", "other", "label")]
)
def test_batches_that_are_dictionaries(names):
    torch.manual_seed(0)
    if len(names) == 3:
        model = sparse(Two(), example={"x": X, "other": Z})
    else:
        model = sparse(nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)))
    loader = DataLoader(Rows(*names), 4)
    fit, _ = trained(model, loader, (next(iter(loader)),), steps=6)
    assert fit.best.stopped == "finished"
    assert model.num_data == 12


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (DataLoader(TensorDataset(X, Y), 5), 12),
        (DataLoader(TensorDataset(X, Y), 5, drop_last=True, shuffle=True), 12),
        (DataLoader(TensorDataset(X, Y), 4, sampler=torch.utils.data.SubsetRandomSampler(range(8))), 8),
        (Minibatches(X, Y, batch_size=4), 12),
        ((X, Y), None),
    ],
)
def test_the_number_of_examples_is_the_loaders(data, count):
    model = sparse(nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)))
    trained(model, data, (X, Y))
    assert model.num_data == count
    given = sparse(nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)), num_data=100)
    trained(given, data, (X, Y))
    assert given.num_data == 100


# ---- outputs -----------------------------------------------------------------------------------------


class ModelOutput(OrderedDict):
    """As of a well-known library: a dictionary with attributes."""

    def __getattr__(self, name):
        return self[name]


@dataclasses.dataclass
class Result:
    logits: torch.Tensor
    hidden: torch.Tensor


Pair = namedtuple("Pair", ["logits", "aux"])


class Returning(nn.Module):
    def __init__(self, result):
        super().__init__()
        self.body, self.head, self.aux = nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(6, 3)
        self.result = result

    def forward(self, x):
        hidden = self.body(x).relu()
        return self.result(self.head(hidden), self.aux(hidden), self.training)


RESULTS = {
    "dictionary": lambda main, aux, _: {"logits": main, "hidden": aux},
    "one entry": lambda main, aux, _: {"scores": main},
    "object": lambda main, aux, _: SimpleNamespace(logits=main, hidden=aux),
    "dataclass": lambda main, aux, _: Result(main, aux),
    "named tuple": lambda main, aux, _: Pair(main, aux),
    "model output": lambda main, aux, _: ModelOutput(logits=main, hidden=aux),
    "in training": lambda main, aux, training: Pair(main, aux) if training else main,
}


@pytest.mark.parametrize("gates", [{"head": "input"}, "input", "output"])
@pytest.mark.parametrize("name", RESULTS)
def test_results_in_containers(name, gates):
    torch.manual_seed(0)
    model = sparse(Returning(RESULTS[name]), gates, num_data=12, example=X)
    assert "body.gate" in model.plan.specs or "head.gate" in model.plan.specs
    _, guide = trained(model, (X, Y))
    for site, parameter in zip(guide.gates(), guide.gate_parameters(), strict=True):
        if parameter.numel() == 6:
            parameter.data.copy_(torch.where(torch.arange(6) < 2, -9.0, 9.0))
        assert site
    small = model.deploy(guide)
    small.train()(X)  # auxiliary heads fit what is left, too
    small.eval()(X)


@pytest.mark.parametrize("pick", ["tuple", "in training"])
def test_a_result_of_several_tensors_is_refused_unless_a_function_picks(pick):
    results = {
        "tuple": lambda main, aux, _: (main, aux),
        "in training": lambda main, aux, training: (main, aux) if training else main,
    }
    torch.manual_seed(0)
    model = sparse(Returning(results[pick]), {"head": "input"}, num_data=12, example=X)
    with pytest.raises(
        TypeError, match=r"net returns a tuple of 2 tensors \(out\[0\], out\[1\]\), of which the cat"
    ):
        model.check_data(X, Y)

    def picked(out):
        return dist.Categorical(logits=out[0] if isinstance(out, tuple) else out)

    model = sparse(Returning(results[pick]), {"head": "input"}, num_data=12, example=X, likelihood=picked)
    fit, _ = trained(model, (X, Y))
    assert fit.best.stopped == "finished"


# ---- classes in the second dimension -----------------------------------------------------------------

IMAGES = torch.randn(6, 2, 4, 5, generator=torch.Generator().manual_seed(1))
PIXELS = torch.randint(0, 3, (6, 4, 5), generator=torch.Generator().manual_seed(2))


def segmenting():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))


def log_likelihood(model, x, y):
    net_out = model.net(x)
    law = model.observation(model.observation.predictor(net_out), y)
    return law.log_prob(y)


@pytest.mark.parametrize("ignored", [None, 255, -100])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_likelihood_of_pixels_is_the_cross_entropy(ignored, smoothing):
    labels = PIXELS.clone()
    if ignored is not None:
        labels[:, :2] = ignored
    likelihood = Categorical(ignore_index=ignored, label_smoothing=smoothing)
    model = sparse(segmenting(), example=IMAGES, likelihood=likelihood, num_data=6).double()
    model.check_data(IMAGES.double(), labels)
    found = log_likelihood(model, IMAGES.double(), labels)
    index = -1 if ignored is None else ignored
    options = {"ignore_index": index, "label_smoothing": smoothing, "reduction": "none"}
    expected = -functional.cross_entropy(model.net(IMAGES.double()), labels, **options).sum((1, 2))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_segmentation_trains(mode):
    model = sparse(segmenting(), example=IMAGES, likelihood=Categorical(ignore_index=255), num_data=6)
    labels = PIXELS.clone()
    labels[0] = 255
    fit, guide = trained(model, (IMAGES, labels), compile=mode, steps=30, lr=0.02)
    assert fit.history.log_likelihood[-1] > fit.history.log_likelihood[0]
    assert model.eval().deploy(guide)(IMAGES).shape == (6, 3, 4, 5)


def test_labels_out_of_range_say_what_to_do():
    model = sparse(segmenting(), example=IMAGES, num_data=6)
    labels = PIXELS.clone()
    labels[0, 0] = 255
    with pytest.raises(ValueError, match=r"a label that does not count goes into Categorical\(ignore_index"):
        model.check_data(IMAGES, labels)
    with pytest.raises(ValueError, match=r"y must have shape .*, or \(6, 4, 5\) for classes in the second"):
        model.check_data(IMAGES, PIXELS[:, :2])
    with pytest.raises(ValueError, match="label_smoothing"):
        Categorical(label_smoothing=1.0)


def test_classes_in_the_last_dimension_stay_there():
    net = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    x, y = torch.randn(4, 3, 5), torch.randint(0, 3, (4, 3))
    model = sparse(net, num_data=4, example=x)
    law = model.observation(model.net(x), y)
    torch.testing.assert_close(law.log_prob(y), dist.Categorical(logits=net(x)).log_prob(y).sum(1))


def test_a_law_of_labels_expands():
    law = LabelLaw(torch.randn(3), ignore_index=-100).expand([4])
    assert law.batch_shape == (4,)
    assert law.log_prob(torch.tensor([0, 1, 2, -100]))[3] == 0.0
    assert law.support.check(torch.tensor([-100, 2])).all()


# ---- what is refused before the first step -----------------------------------------------------------


class Checkpointed(nn.Sequential):
    def __init__(self, reentrant, training_only):
        super().__init__(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
        self.reentrant, self.training_only = reentrant, training_only

    def forward(self, x):
        if self.training_only and not self.training:
            return super().forward(x)
        return self[2](checkpoint(lambda x: self[1](self[0](x)), x, use_reentrant=self.reentrant))


@pytest.mark.parametrize("training_only", [False, True])
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_activation_checkpointing_is_refused(reentrant, training_only):
    model = sparse(Checkpointed(reentrant, training_only), num_data=12)
    with pytest.raises(ValueError, match=r"'0' runs under activation checkpointing.*switch it off"):
        trained(model, (X, Y))


def test_wrappers_are_refused():
    net = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    with pytest.raises(TypeError, match=r"net is a DataParallel, .*; give net.module"):
        sparse(nn.DataParallel(net))
    with pytest.raises(TypeError, match=r"net.0 is a DataParallel, .*; give net.0.module"):
        sparse(nn.Sequential(nn.DataParallel(net)))


def test_a_last_batch_of_one_row():
    def normalised():
        return nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))

    data = TensorDataset(torch.cat([X, X[:1]]), torch.cat([Y, Y[:1]]))
    model = sparse(normalised())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"last batch of an epoch has one example.*drop_last=True"):
        trained(model, DataLoader(data, 4), (X, Y), epochs=1, steps=None)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    trained(model, DataLoader(data, 4, drop_last=True), (X, Y), epochs=1, steps=None)
    trained(sparse(normalised().eval()), DataLoader(data, 4), (X, Y), epochs=1, steps=None)
    plain = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    trained(sparse(plain), DataLoader(data, 4), (X, Y), epochs=1, steps=None)


def test_one_word_passes_over_what_cannot_have_it():
    depthwise = nn.Sequential(
        *(nn.Conv2d(2, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(36, 4), nn.LayerNorm(4), nn.Linear(4, 3)),
    )
    for gates, left_out in (("input", {"2"}), ("output", {"5"})):
        model = sparse(depthwise, gates, example=IMAGES)
        assert set(model.plan.passed_over) == left_out
        assert not {spec.owner for spec in model.plan.specs.values()} & left_out
    with pytest.raises(ValueError, match="depthwise"):
        sparse(depthwise, {"2": "input"}, example=IMAGES)
