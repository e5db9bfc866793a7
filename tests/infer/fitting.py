"""Short fits of a small regression, shared by the tests of fit()."""

import pyro
import pyro.distributions as dist
import torch
from torch.utils.data import DataLoader, TensorDataset

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.sites import spike_and_slab

GENERATOR = torch.Generator().manual_seed(11)
X = torch.randn(24, 3, generator=GENERATOR)
Y = X @ torch.tensor([2.0, 0.0, -1.0]) + 0.5 * torch.randn(24, generator=GENERATOR)


def regression(x, y=None):
    """Three gated columns; minibatches are scaled to the 24 rows."""
    beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", 24, subsample=torch.arange(len(x))):
        return pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)


class Shifted(torch.nn.Module):
    """The same with an intercept that is a parameter of the model."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, x, y=None):
        beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("data", len(x)):
            return pyro.sample("y", dist.Normal(x @ beta + self.shift, 0.5), obs=y)


def dense(x, y=None):
    """A model without gates, with a latent on the positives."""
    beta = pyro.sample("beta", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        return pyro.sample("y", dist.Normal(x @ beta, sigma), obs=y)


def guide_of(model=regression, **options):
    return AutoHardConcrete(model, (X, Y), **options)


def short(model=regression, guide=None, data=(X, Y), **options):
    """A fit of a few eager steps, without a progress bar."""
    options = {"compile": "eager", "progress": False, **options}
    if "epochs" not in options:
        options.setdefault("steps", 3)
    return l0bayes.fit(model, guide_of(model) if guide is None else guide, data, **options)


def loader(batch_size=8, **options):
    return DataLoader(TensorDataset(X, Y), batch_size=batch_size, **options)


def state_of(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same_state(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
