"""Labels that are ``True`` and ``False``, or whole numbers under a law of floats, are those numbers."""

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork, SparseRegression

X = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
TRUE = X[:, 0] > 0


def objective(model, data):
    guide = AutoHardConcrete(model, data)
    return l0bayes.fit(model, guide, data, steps=1, compile="eager", progress=False).elbo


def network(likelihood, outputs):
    torch.manual_seed(0)
    return SparseNetwork(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, outputs)), likelihood=likelihood)


@pytest.mark.parametrize(
    ("likelihood", "outputs", "y", "same"),
    [
        ("categorical", 2, TRUE, TRUE.long()),
        ("bernoulli", 1, TRUE[:, None], TRUE[:, None].float()),
        ("bernoulli", 1, TRUE[:, None].long(), TRUE[:, None].float()),
        ("gaussian", 1, TRUE[:, None], TRUE[:, None].float()),
        ("poisson", 1, TRUE[:, None], TRUE[:, None].float()),
    ],
)
def test_of_a_network(likelihood, outputs, y, same):
    model = network(likelihood, outputs)
    assert objective(model, (X, y)) == objective(model, (X, same))


@pytest.mark.parametrize("y", [TRUE, TRUE.long()])
@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson"])
def test_of_a_regression(likelihood, y):
    model = SparseRegression(4, likelihood=likelihood)
    assert objective(model, (X, y)) == objective(model, (X, y.float()))


def test_of_a_cut_network():
    model = network("categorical", 2)
    guide = AutoHardConcrete(model, (X, TRUE), slab="delta", init_active=0.9)
    fit = l0bayes.fit(
        model, guide, (X, TRUE), steps=12, target="macs:0.6", shrink=True, progress=False, compile="eager"
    )
    assert fit.decision is not None
