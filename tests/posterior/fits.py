"""Short fits that the posterior tests read; each is made once."""

from functools import cache

import pyro
import pyro.distributions as dist
import torch
from torch import nn

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.sites import spike_and_slab

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(30, 3, generator=GENERATOR)
Y = X @ torch.tensor([1.0, 0.0, -0.8]) + 0.5 + 0.7 * torch.randn(30, generator=GENERATOR)
NAMES = ["age", "bmi", "dose"]
LABELS = torch.randint(0, 3, (30,), generator=GENERATOR)


def fit(model, data=(X, Y), steps=60, restarts=1, guide=None, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        guide = AutoHardConcrete(model, data, **options) if guide is None else guide
        run = {"steps": steps, "lr": 0.03, "restarts": restarts, "compile": "eager", "progress": False}
        run["guard_collapse"] = False  # three gates of a network that has not learnt may well be shut
        return l0bayes.fit(model, guide, data, **run)


@cache
def plain(restarts=2):
    """Unknown noise, an intercept, two restarts."""
    return fit(SparseRegression(NAMES, inclusion=0.2, noise_prior=(1.0, 1.0)), restarts=restarts)


@cache
def fixed_noise():
    """Gates and slabs alone, so that everything can be computed by hand."""
    model = SparseRegression(NAMES, inclusion=0.3, noise_scale=0.7, intercept_scale=None)
    return fit(model, steps=300, restarts=2, temperature=0.3)


@cache
def latent_inclusion():
    return fit(SparseRegression(NAMES, inclusion=(2.0, 6.0), noise_prior=(1.0, 1.0)))


@cache
def grouped():
    """The first column alone, the other two under one gate."""
    return fit(SparseRegression(NAMES, inclusion=0.4, groups=torch.tensor([1, 0, 0])))


@cache
def network():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    model = SparseNetwork(net, gates="input", inclusion=0.3)
    return fit(model, (X, LABELS), steps=20, restarts=2)


def matrix_model(x, y=None):
    """A matrix of weights with a gate a column, and observations with an event dimension."""
    slab = dist.Normal(0.0, 1.0).expand([2, 3]).to_event(2)
    weight = spike_and_slab("weight", 0.3, slab, gate_shape=(1, 3))
    scalar = spike_and_slab("offset", 0.4)
    with pyro.plate("data", len(x)):
        return pyro.sample("y", dist.Normal(x @ weight.mT + scalar, 1.0).to_event(1), obs=y)


@cache
def matrix():
    return fit(matrix_model, (X, torch.stack([Y, -Y], -1)), steps=20)


@cache
def idata(name):
    """The draws of a fit, 400 a chain."""
    return l0bayes.to_arviz(globals()[name](), num_draws=400, seed=5)
