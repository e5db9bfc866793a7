"""Small models with every kind of latent site, shared by the guide tests."""

import pyro
import pyro.distributions as dist
import torch

from l0bayes.sites import gate, spike_and_slab

GENERATOR = torch.Generator().manual_seed(7)
X = torch.randn(20, 4, generator=GENERATOR)
Y = X @ torch.tensor([1.0, 0.0, -1.0, 0.0]) + 0.5 * torch.randn(20, generator=GENERATOR)


def regression(x, y=None):
    """Gates, slabs, and hyper-latents on the unit interval, the positives, the reals and a simplex."""
    pi = pyro.sample("pi", dist.Beta(1.0, 3.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    intercept = pyro.sample("intercept", dist.Normal(0.0, 3.0))
    mix = pyro.sample("mix", dist.Dirichlet(torch.ones(3)))
    beta = spike_and_slab("beta", pi[..., None], dist.Normal(0.0, 1.0).expand([4]).to_event(1))
    mean = (x @ beta[..., None])[..., 0] + intercept[..., None] + mix[..., 0:1]
    return pyro.sample("y", dist.Normal(mean, sigma[..., None]).to_event(1), obs=y)


def two_layers(x, y=None):
    """A matrix of weights with gates on rows and columns, and a bias that dies with its row."""
    rows, columns = gate("rows", 0.5, [2]), gate("columns", 0.3, [4])
    matrix = dist.Normal(0.0, 1.0).expand([2, 4]).to_event(2)
    weight = spike_and_slab("weight", slab=matrix, gate=[rows.view(2, 1), columns])
    bias = spike_and_slab("bias", slab=dist.Normal(0.0, 1.0).expand([2]).to_event(1), gate=rows)
    mean = (x @ weight.mT + bias[..., None, :]).tanh().sum(-1)
    return pyro.sample("y", dist.Normal(mean, 0.5).to_event(1), obs=y)


def state_of(guide):
    """A copy of all parameters and buffers."""
    return {name: value.detach().clone() for name, value in guide.state_dict().items()}


def same_state(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def train(guide, model, steps=3, lr=0.05, data=(X, Y)):
    """A few steps of plain Adam; the losses."""
    from l0bayes.infer import MeanFieldELBO

    elbo = MeanFieldELBO()(model, guide)
    optimiser = torch.optim.Adam(elbo.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = elbo(*data)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
