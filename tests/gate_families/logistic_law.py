"""A gate law from outside the package."""

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch.distributions import constraints, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from l0bayes.distributions import GateLaw
from l0bayes.distributions.constraints import finite
from l0bayes.distributions.gate_law import mixed_kl
from l0bayes.distributions.numerics import gauss_legendre, logit


class LogisticGate(GateLaw):
    """A logistic variable, clipped to [0, 1]."""

    arg_constraints = {"location": finite, "width": constraints.positive}
    parameter_names = ("location", "width")

    def __init__(self, location, width=0.2, validate_args=None):
        self.location, self.width = broadcast_all(location, width)
        TorchDistribution.__init__(self, self.location.shape, validate_args=validate_args)

    @property
    def activity_logits(self):
        return self.location / self.width

    @property
    def saturation_logits(self):
        return (self.location - 1.0) / self.width

    @property
    def noise_free(self):
        return self.location.clamp(0.0, 1.0)

    def unclipped_icdf(self, u):
        return self.location + self.width * logit(u)

    def survival_logits(self, x):
        return (self.location - x) / self.width

    def log_density(self, z):
        logits = self.survival_logits(z)
        return logsigmoid(logits) + logsigmoid(-logits) - self.width.log()

    def quadrature(self):
        """Sixteen panels: the density is analytic, with poles as far off as it is wide."""
        nodes, weights = gauss_legendre(self.location, 0.0, 1.0, 16)
        panels = torch.arange(16.0).to(nodes)[:, None]
        return ((nodes + panels) / 16.0).flatten(), (weights / 16.0).repeat(16)


@register_kl(LogisticGate, LogisticGate)
def _kl_logistic(q, p):
    nodes, weights = q.quadrature()
    shape = (-1, *(1 for _ in torch.broadcast_shapes(q.batch_shape, p.batch_shape)))
    return mixed_kl(q, p, nodes.reshape(shape), weights.reshape(shape))
