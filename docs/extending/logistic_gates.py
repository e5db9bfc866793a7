r"""Gates :math:`z = \min(1, \max(0, \mu + sL))` with L logistic: location μ and width s are learned."""

import math

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from l0bayes.distributions import GateLaw
from l0bayes.distributions.constraints import finite
from l0bayes.distributions.gate_law import mixed_kl
from l0bayes.distributions.numerics import gauss_legendre, logit
from l0bayes.gate_families import GateFamily, GateParameter, register_family
from l0bayes.guides import FamilyGuide


class LogisticGate(GateLaw):
    r"""A clipped logistic variable: :math:`\operatorname{logit} P(z > x) = (\mu - x)/s` for x in [0, 1)."""

    arg_constraints = {"location": finite, "width": constraints.positive}
    parameter_names = ("location", "width")

    def __init__(self, location, width=0.2, validate_args=None):
        self.location, self.width = broadcast_all(location, width)
        TorchDistribution.__init__(self, self.location.shape, validate_args=validate_args)

    activity_logits = property(lambda self: self.survival_logits(0.0))
    saturation_logits = property(lambda self: self.survival_logits(1.0))
    noise_free = property(lambda self: self.location.clamp(0.0, 1.0))

    def unclipped_icdf(self, u: Tensor) -> Tensor:
        return self.location + self.width * logit(u)

    def survival_logits(self, x: Tensor | float) -> Tensor:
        return (self.location - x) / self.width

    def log_density(self, z: Tensor) -> Tensor:
        logits = self.survival_logits(z)
        return logsigmoid(logits) + logsigmoid(-logits) - self.width.log()

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Sixteen panels of [0, 1]: the density is analytic, with poles as far off as it is wide."""
        nodes, weights = gauss_legendre(self.location, 0.0, 1.0, 16)
        panels = torch.arange(16.0).to(nodes)[:, None]
        return ((nodes + panels) / 16.0).flatten(), (weights / 16.0).repeat(16)


@register_kl(LogisticGate, LogisticGate)
def _kl_logistic(q, p):
    shape = (-1, *(1 for _ in torch.broadcast_shapes(q.batch_shape, p.batch_shape)))
    return mixed_kl(q, p, *(values.reshape(shape) for values in q.quadrature()))


class AutoLogisticGates(FamilyGuide):
    """Guide with logistic gates."""

    gate_law = "logistic"


def start(activity_logits: Tensor, temperature: float) -> dict[str, Tensor]:
    width = torch.full_like(activity_logits, 0.3 * temperature)
    return {"location": width * activity_logits, "width": width}


register_family(
    GateFamily(
        name="logistic",
        label="clipped logistic",
        words="a logistic variable clipped to 0 and 1, its width learned",
        law=LogisticGate,
        parameters=(GateParameter("location"), GateParameter("width", constraints.positive)),
        start=start,
        guide=AutoLogisticGates,
        temperature=math.exp(-1),
        only_start_has_temperature=True,
    )
)
