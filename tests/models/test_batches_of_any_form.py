"""A batch is taken in every form, wherever one is taken: guide, fit, target, tables, deployment, files."""

from collections import UserDict
from collections.abc import Sequence
from typing import NamedTuple

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches, pruning_forecast
from l0bayes.models import SparseNetwork
from l0bayes.network import count_macs
from l0bayes.posterior import predict, predict_probabilities

X = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
OPTIONS = {"compile": "eager", "progress": False, "lr": 1e-3, "gate_lr": 1e-2}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)

    def forward(self, values, scale=None):
        values = torch.relu(self.norm(self.a(values)))
        return {"logits": self.b(values if scale is None else values * scale)}


class Single(Net):
    def forward(self, x):
        return Net.forward(self, x)["logits"]


class Fields(NamedTuple):
    values: torch.Tensor
    labels: torch.Tensor


class Encoding(UserDict):
    """As the tokenisers of transformers give them."""


FORMS = {
    "tuple": lambda x, y: (x, y),
    "list": lambda x, y: [x, y],
    "fields": Fields,
    "dictionary": lambda x, y: {"values": x, "labels": y},
    "encoding": lambda x, y: Encoding(values=x, labels=y),
    "more inputs": lambda x, y: {"values": x, "scale": torch.ones(len(x), 1), "label": y},
    "nested": lambda x, y: ({"values": x}, y),
}


class Rows(Dataset):
    """Examples as dictionaries."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return FORMS["dictionary"](X[index], Y[index])


def batches_of(form):
    return [FORMS[form](X[i : i + 4], Y[i : i + 4]) for i in (0, 4, 8)]


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_in_every_place(form, tmp_path):
    make = FORMS[form]
    torch.manual_seed(0)
    net, batch = Net(), make(X[:4], Y[:4])
    model = SparseNetwork(net, example={"values": X[:2]})
    guide = AutoHardConcrete(model, batch, slab="delta", init_active=0.9)
    l0bayes.fit(model, guide, batches_of(form), epochs=2, **OPTIONS)
    assert model.num_data == 12
    small = model.deploy(guide, recalibrate=batch)
    by_hand = SparseNetwork(net, example={"values": X[:2]}, num_data=12)
    twin = AutoHardConcrete(by_hand, (X[:4], Y[:4]), slab="delta", init_active=0.9)
    l0bayes.fit(by_hand, twin, batches_of("tuple"), epochs=2, **OPTIONS)
    wanted = by_hand.deploy(twin, recalibrate=X[:4])
    torch.testing.assert_close(small(X)["logits"], wanted(X)["logits"])
    assert len(model.layer_table(guide, batch)) == 2
    forecast = pruning_forecast(model, guide, make(X, Y), steps=5, gate_lr=0.1) if form != "list" else None
    assert forecast is None or forecast.steps == 5
    found = model.deployed_log_likelihood(guide, [batch])
    assert found == pytest.approx(by_hand.deployed_log_likelihood(twin, [(X[:4], Y[:4])]), rel=1e-5)


@pytest.mark.filterwarnings("ignore::l0bayes.network.UndecidedGatesWarning")
@pytest.mark.parametrize("form", ["dictionary", "more inputs", "nested"])
def test_inputs_by_name_after_training(form, tmp_path):
    batch = FORMS[form](X[:4], Y[:4])
    example = batch if isinstance(batch, dict) else batch[0]
    model = SparseNetwork(Net().eval(), example=example)
    guide = AutoHardConcrete(model, batch, slab="delta")
    small = model.deploy(guide)
    assert count_macs(small, example) == model.cost_summary(guide)["deployed_macs"]
    wanted = small(X[:4])["logits"].softmax(-1)
    torch.testing.assert_close(predict_probabilities((model, guide), example, how="deployed"), wanted)
    assert predict_probabilities((model, guide), example, num_draws=2).shape == (4, 2)
    data = example if isinstance(batch, dict) else (example,)
    assert predict(model, guide, data, num_draws=2).shape == (2, 4, 2)
    saved = l0bayes.save_deployed(small, tmp_path / "net", example=example, program=False, onnx=False)
    assert saved.certificate["deployed"]["macs"] == count_macs(small, example)


def test_all_data_in_a_dictionary():
    model = SparseNetwork(Net(), example={"values": X[:2]})
    data = {"values": X, "labels": Y}
    guide = AutoHardConcrete(model, data, slab="delta")
    fit = l0bayes.fit(model, guide, data, steps=2, **OPTIONS)
    assert model.num_data is None
    assert fit.data[0] is data


def test_a_loader_of_dictionaries():
    loader = DataLoader(Rows(), batch_size=4)
    model = SparseNetwork(Net(), example={"values": X[:2]})
    guide = AutoHardConcrete(model, next(iter(loader)), slab="delta")
    l0bayes.fit(model, guide, loader, epochs=1, **OPTIONS)
    assert model.num_data == 12


def test_a_target_may_be_called_as_an_input_is():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(5, 6), nn.Linear(6, 2)

        def forward(self, x, y):
            return self.b(torch.relu(self.a(x + y)))

    model = SparseNetwork(Pair(), example={"x": X[:2], "y": X[:2]})
    inputs, target = model.split({"x": X, "y": X, "labels": Y})
    assert inputs == ({"x": X, "y": X},)
    assert target is Y


def test_keys_that_the_network_does_not_take_are_named():
    model = SparseNetwork(Single(), example=X[:2])
    with pytest.raises(TypeError, match=r"'image', 'index', which the network's .* are x\."):
        AutoHardConcrete(model, {"image": X, "index": Y, "label": Y})
    inputs, _ = model.split({"image": X, "label": Y})  # one is clear
    assert inputs == (X,)


def test_a_dictionary_of_a_models_own_arguments_is_named():
    def regression(x, y=None):
        w = l0bayes.spike_and_slab("w", 0.3, dist.Normal(0.0, 1.0).expand([5]).to_event(1))
        with pyro.plate("data", len(x)):
            return pyro.sample("y", dist.Normal(x @ w, 1.0), obs=y)

    with pytest.raises(TypeError, match=r"dictionary of 'x', 'y'.* as a tuple, \(x, y\)"):
        AutoHardConcrete(regression, {"x": X, "y": X[:, 0]})


# ---- how many examples there are, and batches of one -------------------------------------------------


class Batches(Sequence):
    """Batches by number."""

    def __init__(self, sizes):
        self.parts = list(zip(X.split(sizes), Y.split(sizes), strict=True))

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        return self.parts[index]


class Stream:
    """Batches that come by themselves."""

    def __init__(self, sizes):
        self.parts = Batches(sizes).parts

    def __len__(self):
        return len(self.parts)

    def __iter__(self):
        return iter(self.parts)


def normalised(**options):
    net = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    return SparseNetwork(net, **options)


def fitted(data, **options):
    model = normalised(**options)
    guide = AutoHardConcrete(model, (X[:4], Y[:4]), slab="delta")
    before = [p.detach().clone() for p in guide.parameters()]
    try:
        l0bayes.fit(model, guide, data, epochs=1, **OPTIONS)
    except ValueError:
        assert all(torch.equal(a, b) for a, b in zip(before, guide.parameters(), strict=True))
        raise
    return model


@pytest.mark.parametrize("make", [lambda batches: batches.parts, lambda batches: batches])
def test_examples_of_batches_at_hand_are_counted(make):
    assert fitted(make(Batches([5, 5, 2]))).num_data == 12
    assert fitted(make(Batches([5, 5, 2])), num_data=100).num_data == 100


@pytest.mark.parametrize(
    "data",
    [
        Batches([5, 6, 1]),
        Batches([5, 6, 1]).parts,
        Batches([1, 11]).parts,
        Minibatches(X, Y, batch_size=1),
        DataLoader(TensorDataset(X, Y), batch_size=1),
        (X[:1], Y[:1]),
    ],
)
def test_a_batch_of_one_is_refused_before_the_first_step(data):
    steps = {"steps": 2} if isinstance(data, tuple) else {"epochs": 1}
    model = normalised()
    guide = AutoHardConcrete(model, (X[:4], Y[:4]), slab="delta")
    with pytest.raises(ValueError, match=r"has one example.*drop_last=True.* of a list"):
        l0bayes.fit(model, guide, data, callbacks=[], **steps, **OPTIONS)


def test_what_cannot_be_counted_is_said():
    with pytest.warns(UserWarning, match=r"cannot be told of a Stream .* give num_data= to SparseNetwork"):
        assert fitted(Stream([4, 4, 4])).num_data is None
    fitted(Stream([4, 4, 4]), num_data=12)


@pytest.mark.filterwarnings("ignore:how many examples")
def test_a_batch_of_one_in_a_stream_is_explained():
    model = normalised()
    guide = AutoHardConcrete(model, (X[:4], Y[:4]), slab="delta")
    with pytest.raises(ValueError, match=r"has one example.*drop_last=True"):
        l0bayes.fit(model, guide, Stream([11, 1]), epochs=1, **OPTIONS)
