"""Errors of the first run of a model say what was given, what is accepted, and what to do."""

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import l0bayes
from l0bayes.guides import (
    AutoBernoulliGates,
    AutoConcrete,
    AutoHardConcrete,
    AutoHardKumaraswamy,
    AutoJointGates,
    AutoRectifiedNormal,
)
from l0bayes.infer import Minibatches
from l0bayes.infer.first_run import explained_run
from tests.infer.fitting import X, Y, guide_of, regression

GUIDES = [AutoBernoulliGates, AutoConcrete, AutoHardConcrete, AutoHardKumaraswamy, AutoJointGates]
GUIDES += [AutoRectifiedNormal]
LOADER = DataLoader(TensorDataset(X, Y), batch_size=4)
FRAME = pd.DataFrame(X.numpy())

DATA = [
    (
        (X.numpy(), Y.numpy()),
        r"^x is a NumPy array; give .*as_tensor\(x, dtype=torch.float32\); y is a NumPy",
    ),
    (
        (FRAME, pd.Series(Y.numpy())),
        r"^x is a pandas DataFrame; give a tensor, torch.as_tensor\(x.to_numpy\(",
    ),
    ((X.tolist(), Y.tolist()), r"^x is a list of numbers; give a tensor, torch.tensor\(x\)"),
    (
        (X.double(), Y.double()),
        r"^x is torch.float64 .*in torch.float32: give x.float\(\) and y.float\(\), or ",
    ),
    ((X.long(), Y), r"^x is torch.int64 and the model computes in torch.float32: give x.float\(\)"),
    ((torch.where(X > 1.5, torch.nan, X), Y), r"^x holds \d+ values that are NaN or infinite, the first at"),
    (LOADER, r"is a DataLoader, and a model or guide takes one batch: next\(iter\(loader\)\)"),
    (TensorDataset(X, Y), r"is a TensorDataset: l0bayes.fit takes a loader of it, DataLoader\(dataset"),
    (Minibatches(X, Y, batch_size=4), r"is a Minibatches, and a model or guide takes one batch"),
]


def plain(x, y):
    mean = x @ l0bayes.spike_and_slab("b", 0.3, dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


@pytest.mark.parametrize(("data", "words"), DATA)
def test_a_guide_says_what_is_wrong_with_its_batch(data, words):
    def with_shape(x, y):
        mean = x @ l0bayes.spike_and_slab("b", 0.3, dist.Normal(0.0, 1.0).expand([X.shape[1]]).to_event(1))
        pyro.sample("y", dist.Normal(mean, 0.5).to_event(1), obs=y)

    with pytest.raises((TypeError, ValueError), match=words):
        AutoHardConcrete(with_shape, data)


@pytest.mark.parametrize(("data", "words"), [one for one in DATA if isinstance(one[0], tuple)])
def test_fit_says_what_is_wrong_with_its_data(data, words):
    guide = guide_of(plain)
    with pytest.raises((TypeError, ValueError), match=words):
        l0bayes.fit(plain, guide, data, steps=1, progress=False)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (X.numpy(), "data is a NumPy array; give a tensor"),
        (FRAME, "data is a pandas DataFrame"),
        (TensorDataset(X, Y), r"data is a TensorDataset: l0bayes.fit takes a loader of it"),
        ([X, Y], r"got a list of tensors: give \(x, y\)"),
    ],
)
def test_fit_says_what_data_are(data, words):
    with pytest.raises(TypeError, match=words):
        l0bayes.fit(regression, guide_of(), data, steps=1, progress=False)


def test_minibatches_of_arrays():
    with pytest.raises(
        TypeError, match=r"; argument 0 is a NumPy array; give a tensor, torch.as_tensor\(\.\.\., "
    ):
        Minibatches(X.numpy(), Y, batch_size=2)


@pytest.mark.parametrize("guide", GUIDES)
def test_arguments_that_are_no_tuple(guide):
    with pytest.raises(TypeError, match=rf"go into one tuple: {guide.__name__}\(model, \(x, y\)\)"):
        guide(plain, X, Y)


def named_twice(x, y):
    law = dist.Normal(0.0, 1.0).expand([3]).to_event(1)
    l0bayes.spike_and_slab("b", 0.3, law)
    l0bayes.spike_and_slab("b", 0.3, law)


def looped(x, y):
    for _ in range(2):
        pyro.sample("a", dist.Normal(0.0, 1.0))


def plates(x, y):
    for _ in range(2):
        with pyro.plate("rows", 3):
            pass


@pytest.mark.parametrize(("model", "name"), [(named_twice, "b.gate"), (looped, "a"), (plates, "rows")])
def test_a_name_that_stands_twice(model, name):
    with pytest.raises(
        ValueError, match=rf"^two sites or plates are named '{name}'.* name of its own.*to_event"
    ):
        AutoHardConcrete(model, (X, Y))


def test_words_of_the_users_own_are_passed_on():
    def strict(x, y):
        if isinstance(x, np.ndarray):
            raise ValueError("my tensor must be long")

    with pytest.raises(ValueError, match=r"^my tensor must be long"):
        AutoHardConcrete(strict, (X.numpy(), Y))


def test_what_is_not_known_is_passed_on():
    def broken(frame):
        frame["absent"]

    with pytest.raises(KeyError, match="absent"), explained_run(broken, (FRAME,)):
        broken(FRAME)


def test_words_of_this_library_come_without_a_table_of_shapes():
    def impossible(x, y):
        l0bayes.spike_and_slab("b", 30, dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match=r"^inclusion must lie strictly between 0 and 1, got 30$"):
        AutoHardConcrete(impossible, (X, Y))


def test_data_that_a_model_makes_tensors_of_are_taken():
    def of_a_frame(frame, y):
        plain(torch.tensor(frame.to_numpy().copy()), torch.as_tensor(y))

    guide = AutoHardConcrete(of_a_frame, (FRAME, Y.numpy()))
    l0bayes.fit(of_a_frame, guide, (FRAME, Y.numpy()), steps=1, compile="eager", progress=False)


def test_labels_that_are_missing():
    def classes(x, y=None):
        mean = x @ l0bayes.spike_and_slab("b", 0.3, dist.Normal(0.0, 1.0).expand([X.shape[1]]).to_event(1))
        with pyro.plate("n", len(x)):
            pyro.sample("y", dist.Bernoulli(logits=mean), obs=y)

    with pytest.raises(ValueError, match=r"'y', which is no gate; .* \(labels\) are missing.*\(x, y\)"):
        AutoHardConcrete(classes, (X,))
