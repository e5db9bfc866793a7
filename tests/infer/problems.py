"""A sparse linear regression, its guide's parameters, and the field's formulas written out by hand."""

import math

import pyro
import pyro.distributions as dist
import torch

from l0bayes.distributions import Gate
from l0bayes.guides import AutoHardConcrete
from l0bayes.sites import spike_and_slab

NOISE = 0.7
GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(15, 4, generator=GENERATOR, dtype=torch.float64)
Y = X @ torch.tensor([1.5, 0.0, -1.0, 0.0], dtype=torch.float64) + NOISE * torch.randn(
    15, generator=GENERATOR, dtype=torch.float64
)


def regression(prior=None, slab=None):
    """A model with gates of the given prior and slabs of the given scalar prior."""
    prior = Gate(0.2) if prior is None else prior
    slab = dist.Normal(0.0, 1.0) if slab is None else slab

    def model(x, y):
        beta = spike_and_slab("beta", prior, slab.expand([x.shape[-1]]).to_event(1))
        with pyro.plate("data", len(x), dim=-1):  # a batch of particles comes as (particles, 1, p)
            pyro.sample("y", dist.Normal((x * beta).sum(-1), NOISE), obs=y)

    return model


def guide_of(model, *data, seed=3, **options):
    """A guide in double precision, away from its start."""
    return AutoHardConcrete(model, data or (X, Y), **options).double().perturb(seed, gates=1.0, locs=0.7)


class Parameters:
    """The guide's parameters, read from its state and turned into the paper's symbols."""

    def __init__(self, guide, site="beta"):
        state = guide.state_dict()
        self.log_alpha = state[f"log_alpha.{site}/gate_unconstrained"]
        self.loc = state[f"loc.{site}/slab_unconstrained"]
        scale = state.get(f"scale.{site}/slab_unconstrained")
        self.scale = None if scale is None else scale.exp()
        self.beta = guide.temperature.item()
        self.gamma, self.zeta = guide.stretch

    @property
    def active(self):
        """P(z != 0) = sigmoid(log alpha - beta log(-gamma / zeta))."""
        return torch.sigmoid(self.log_alpha - self.beta * math.log(-self.gamma / self.zeta))

    def gates(self, u):
        """The hard concrete draw for uniform noise u, step by step."""
        s = torch.sigmoid((torch.log(u) - torch.log1p(-u) + self.log_alpha) / self.beta)
        return torch.clamp(s * (self.zeta - self.gamma) + self.gamma, 0.0, 1.0)

    def slab_kl(self, prior_scale=1.0):
        """KL of the slab's Normal against N(0, prior_scale^2), one a weight."""
        ratio = (self.scale**2 + self.loc**2) / prior_scale**2
        return -torch.log(self.scale / prior_scale) + (ratio - 1.0) / 2.0


def misfit(weights, x=X, y=Y):
    """-log N(y; x w, NOISE^2), summed over the data."""
    residual = y - x @ weights
    return (residual.square().sum() / (2 * NOISE**2)) + len(y) * math.log(NOISE * math.sqrt(2 * math.pi))


def bernoulli_kl(q, p):
    p = torch.as_tensor(p, dtype=q.dtype)
    return q * torch.log(q / p) + (1 - q) * torch.log((1 - q) / (1 - p))


def entropy(q):
    return -q * torch.log(q) - (1 - q) * torch.log1p(-q)
