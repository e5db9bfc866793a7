"""Regressions with correlated columns, their exact posterior, and guides that hold parts of it."""

import math

import pyro
import pyro.distributions as dist
import torch

from l0bayes.guides import AutoJointGates
from l0bayes.selection import GaussianProblem, InclusionPrior, infer_gates
from l0bayes.sites import spike_and_slab

PI, NOISE, SLAB = 0.25, 0.8, 1.5


def data(p, seed=0, n=40, twist=0.2):
    """Every other column is the one before it with a little noise; the first of each pair counts."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator, dtype=torch.float64)
    x[:, 1::2] = x[:, : p - p % 2 : 2] + twist * x[:, 1::2]
    beta = torch.zeros(p, dtype=torch.float64)
    beta[::2] = 0.5
    return x, x @ beta + NOISE * torch.randn(n, generator=generator, dtype=torch.float64)


def model(x, y):
    slab = dist.Normal(x.new_zeros(()), SLAB).expand([x.shape[-1]]).to_event(1)
    beta = spike_and_slab("beta", torch.tensor(PI, dtype=x.dtype), slab)
    pyro.sample("y", dist.Normal(x @ beta, NOISE).to_event(1), obs=y)


def exact(x, y):
    """The exact posterior by the library's own enumeration, which has tests of its own."""
    p = x.shape[1]
    odds = torch.full((p,), math.log(PI / (1 - PI)), dtype=torch.float64)
    slab = torch.full((p,), SLAB, dtype=torch.float64)
    return infer_gates(GaussianProblem(x, y, InclusionPrior(odds), slab, noise=NOISE), "exact")


def exact_slabs(guide, x, y):
    """Put the posterior of the slabs given the gates into a guide, which leaves it the gates to learn."""
    precision = x.T @ x / NOISE**2 + torch.eye(x.shape[1], dtype=torch.float64) / SLAB**2
    scale = precision.diagonal().rsqrt()
    root = torch.linalg.cholesky(precision * scale * scale[:, None])
    with torch.no_grad():
        guide.loc.get_parameter("beta/slab_unconstrained").copy_(scale**2 * (x.T @ y) / NOISE**2)
        guide.scale.get_parameter("beta/slab_unconstrained").copy_(scale.log())
        guide.association.get_parameter("beta/slab_unconstrained").copy_(root / root.diagonal()[:, None])
    return guide


def joint_guide(x, y, seed=None, **options):
    """A guide in double precision; with a seed, all its parameters away from the start."""
    guide = AutoJointGates(model, (x, y), **options).double()
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in guide.parameters():
                parameter += 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return guide


def enumerated_elbo(parameters, x, y):
    """The ELBO from the guide's parameters (a, W, m, log s, A) by all models, in formulas of their own."""
    a, w, loc, log_scale, association = parameters
    p, total = len(a), 0.0
    rows = torch.tril(association, -1) + torch.eye(p, dtype=torch.float64)
    rows = rows / rows.norm(dim=1, keepdim=True)
    scale = torch.exp(log_scale)
    precision = (rows @ rows.T) / torch.outer(scale, scale)
    h = loc / scale**2
    for index in range(2**p):
        z = torch.tensor([index >> j & 1 for j in range(p)], dtype=torch.float64)
        q = torch.sigmoid(a + torch.tril(w, -1) @ z)
        log_q = (z * torch.log(q) + (1 - z) * torch.log(1 - q)).sum()
        value = (z * math.log(PI) + (1 - z) * math.log(1 - PI)).sum() - log_q
        o = z.nonzero()[:, 0]
        k = len(o)
        covariance = torch.linalg.inv(precision[o][:, o])
        mean = covariance @ h[o]
        residual = y - x[:, o] @ mean
        spread = torch.trace(x[:, o] @ covariance @ x[:, o].T)
        value = value - (residual.square().sum() + spread) / (2 * NOISE**2)
        value = value - len(y) / 2 * math.log(2 * math.pi * NOISE**2)
        fit = torch.trace(covariance) / SLAB**2 + mean.square().sum() / SLAB**2 - k
        value = value - 0.5 * (fit + k * math.log(SLAB**2) - torch.logdet(covariance) if k else 0.0)
        total = total + log_q.exp() * value
    return total


def parameters_of(guide):
    """Copies of (a, W, m, log s, A)."""
    state = guide.state_dict()
    names = [
        "logits.beta/gate",
        "coupling.beta/gate",
        "loc.beta/slab",
        "scale.beta/slab",
        "association.beta/slab",
    ]
    return [state[f"{name}_unconstrained"].clone() for name in names]
