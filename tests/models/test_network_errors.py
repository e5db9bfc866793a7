"""Data, labels and examples that a network does not take: what to give instead."""

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(8) % 3
IMAGES = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
LOADER = DataLoader(TensorDataset(IMAGES, Y), batch_size=4)


def mlp(outputs=3):
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, outputs))


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def vectors():
    return SparseNetwork(mlp())


def images():
    return SparseNetwork(cnn(), gates="output", example=IMAGES[:2])


FAULTS = [
    (
        vectors,
        (X.numpy(), Y.numpy()),
        r"^x is a NumPy array.*; y is a NumPy array; give a .*as_tensor\(y\)\.",
    ),
    (vectors, (pd.DataFrame(X.numpy()), Y), "^x is a pandas DataFrame"),
    (vectors, (X.tolist(), Y), "^x is a list of numbers"),
    (
        vectors,
        (X.double(), Y),
        r"^x is torch.float64 and the model .* x.float\(\), or .* net.to\(torch.float64",
    ),
    (vectors, (X.long(), Y), r"^x is torch.int64 and the model computes in torch.float32: give x.float\(\)"),
    (
        images,
        ((IMAGES * 9).to(torch.uint8), Y),
        r"^x is torch.uint8 .*x.float\(\), x.float\(\) / 255 for images",
    ),
    (vectors, (X[:, :4], Y), r"^x has shape \(8, 4\), and the network was laid out for \(n, 6\)"),
    (vectors, (X.reshape(8, 2, 3), Y), r"\(8, 2, 3\), .* for \(n, 6\); give x.flatten\(1\)"),
    (
        images,
        (IMAGES.movedim(1, -1), Y),
        r"channels stand last: give \(N, C, H, W\).*x.permute\(0, 3, 1, 2\)",
    ),
    (images, (IMAGES[0], Y[:1]), r"it is one row: give x\[None\]"),
    (vectors, (torch.where(X > 1, torch.nan, X), Y), "^x holds .* NaN or infinite, the first at index"),
    (vectors, (X,), r"its data \(labels\) are missing"),
]


@pytest.mark.parametrize(("make", "data", "words"), FAULTS)
def test_a_guide_says_what_to_give(make, data, words):
    with pytest.raises((TypeError, ValueError), match=words):
        AutoHardConcrete(make(), data)


@pytest.mark.parametrize(("make", "data", "words"), FAULTS[1:-1])
def test_fit_says_what_to_give(make, data, words):
    model = make()
    guide = AutoHardConcrete(model, (X, Y) if make is vectors else (IMAGES, Y))
    with pytest.raises((TypeError, ValueError), match=words):
        l0bayes.fit(model, guide, data, steps=1, progress=False)


@pytest.mark.parametrize(
    ("outputs", "likelihood", "y", "words"),
    [
        (
            1,
            "categorical",
            X[:, :1],
            r"one output predicts a number, by likelihood='gaussian' \(regression\)",
        ),
        (1, "categorical", X[:, 0], r"by likelihood='gaussian' \(regression\)"),
        (1, "categorical", Y > 1, r"of two classes, by likelihood='bernoulli'"),
        (3, "categorical", X[:, 0], r"y.long\(\), or for numbers likelihood='gaussian'"),
        (3, "categorical", X[:, :3], r"\(regression\) give likelihood='gaussian'"),
        (3, "categorical", Y[:, None], r"give y.squeeze\(-1\)"),
        (3, "categorical", nn.functional.one_hot(Y), r"one-hot classes y.argmax\(-1\)"),
        (
            1,
            "gaussian",
            X[:, 0],
            r"must have shape \(8, 1\) for the gaussian .* got \(8,\); give y\[:, None\]",
        ),
    ],
)
def test_targets_that_want_another_likelihood_or_shape(outputs, likelihood, y, words):
    with pytest.raises(ValueError, match=words):
        SparseNetwork(mlp(outputs), likelihood=likelihood).check_data(X, y)


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (IMAGES[:2].numpy(), r"^example is a NumPy array; give a tensor, torch.as_tensor"),
        (LOADER, r"^example is a DataLoader.*next\(iter\(loader\)\).*example=x\[:2\]"),
        (TensorDataset(IMAGES, Y), "^example is a TensorDataset"),
        ((IMAGES[:2], Y[:2]), r"labels are no input: not \(x, y\), .* but x\[:2\]$"),
        (IMAGES[:2].movedim(1, -1), r"channels second: x.permute\(0, 3, 1, 2\)$"),
        (IMAGES[0], r"single row needs a first dimension of examples: x\[None\]"),
    ],
)
def test_examples(example, words):
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        SparseNetwork(cnn(), gates="output", example=example)
    assert "\n" not in str(caught.value)  # advice, and one line of torch's


def test_lazy_layers():
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 3))
    with pytest.raises(ValueError, match=r"lazy layer .*'0.weight'.*run the network once .* net\(x\[:2\]\)"):
        SparseNetwork(net)
    net(X)
    SparseNetwork(net)


def test_a_network_without_labels_is_said():
    model = SparseNetwork(mlp(1), likelihood="gaussian")
    guide = AutoHardConcrete(model, (X,))
    with pytest.warns(l0bayes.infer.UnobservedModelWarning, match=r"a network is given labels .* \(x, y\)"):
        l0bayes.fit(model, guide, (X,), steps=1, compile="eager", progress=False)
