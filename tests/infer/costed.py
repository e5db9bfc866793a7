"""A toy model that knows its cost: a regression with two groups of gates."""

import pyro
import pyro.distributions as dist
import torch

from l0bayes.distributions import L0Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.sites import spike_and_slab

WIDTH = 20
GENERATOR = torch.Generator().manual_seed(4)
X = torch.randn(200, 2 * WIDTH, generator=GENERATOR)
TRUTH = torch.linspace(1.0, 0.05, 2 * WIDTH)
Y = X @ TRUTH + 0.5 * torch.randn(200, generator=GENERATOR)


class Costed(torch.nn.Module):
    """Sparse regression whose first group of columns costs thrice what the second does."""

    cost_kinds = ("macs", "units")

    def __init__(self, penalty=0.0):
        super().__init__()
        self.penalty = penalty

    def forward(self, x, y=None):
        weights = []
        for name in ("a", "b"):
            slab = dist.Normal(0.0, 1.0).expand([WIDTH]).to_event(1)
            weights.append(spike_and_slab(name, L0Penalty(self.penalty), slab))
        with pyro.plate("data", 200, subsample=torch.arange(len(x))):
            return pyro.sample("y", dist.Normal(x @ torch.cat(weights), 0.5), obs=y)

    def cost_share(self, kind, active):
        a, b = active["a.gate"].sum(), active["b.gate"].sum()
        return (a + b) / (2 * WIDTH) if kind == "units" else (3 * a + b) / (4 * WIDTH)

    def smallest_share(self, kind):
        return 1.0 / WIDTH


def guide_of(model, init_active=0.9, **options):
    return AutoHardConcrete(model, (X, Y), init_active=init_active, **options)
