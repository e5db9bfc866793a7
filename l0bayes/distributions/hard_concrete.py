r"""The hard concrete law of Louizos, Welling and Kingma (2018)."""

from __future__ import annotations

import math

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from l0bayes.distributions.constraints import finite
from l0bayes.distributions.gate_law import GateLaw, mixed_kl
from l0bayes.distributions.numerics import logit
from l0bayes.distributions.stretch import checked_stretch, interior_rule, logit_of_one, logit_of_zero

__all__ = ["HardConcrete"]

# Gauss-Legendre nodes per unit of logit space: 64 at the paper's stretch, more for a narrower one,
# whose interior is wider there. The error stays below 1e-11 up to temperature 5.
_NODES_PER_UNIT = 13.3


class HardConcrete(GateLaw):
    r"""Hard concrete gate: a binary concrete variable, stretched to (γ, ζ) and clipped to [0, 1].

    With :math:`u \sim U(0,1)`, location :math:`\log\alpha` and temperature :math:`\beta`,

    .. math::
        s = \sigma\bigl((\operatorname{logit} u + \log\alpha)/\beta\bigr), \qquad
        z = \min(1, \max(0, s(\zeta - \gamma) + \gamma)),

    .. math::
        P(z \ne 0) = \sigma\bigl(\log\alpha - \beta\log(-\gamma/\zeta)\bigr), \qquad
        P(z = 1) = \sigma\bigl(\log\alpha - \beta\log((1-\gamma)/(\zeta-1))\bigr).

    Used as a prior, its KL from another hard concrete is exact in the mixed measure, so that the
    objective is the ELBO of a spike-and-slab-style model.

    Source: arXiv 1712.01312, section 2.2 and appendix.

    Args:
        log_alpha: Location, any shape; in nats of odds.
        temperature: Positive; a float or a tensor broadcastable to ``log_alpha``. A buffer may be
            passed and changed in place between steps.
        stretch: ``(gamma, zeta)`` with ``gamma < 0`` and ``zeta > 1``.

    Raises:
        ValueError: If the stretch does not contain [0, 1] in its interior, or, with validation on,
            if the temperature is not positive or ``log_alpha`` is not finite.
    """

    arg_constraints = {"log_alpha": finite, "temperature": constraints.positive}
    parameter_names = ("log_alpha", "temperature")
    setting_names = ("stretch",)

    def __init__(
        self,
        log_alpha: Tensor | float,
        temperature: Tensor | float = 2.0 / 3.0,
        stretch: tuple[float, float] = (-0.1, 1.1),
        validate_args: bool | None = None,
    ) -> None:
        self.stretch = checked_stretch(stretch)
        self.log_alpha, self.temperature = broadcast_all(log_alpha, temperature)
        TorchDistribution.__init__(self, self.log_alpha.shape, validate_args=validate_args)

    def _unstretched_logit(self, z: Tensor) -> Tensor:
        gamma, zeta = self.stretch
        return torch.log(z - gamma) - torch.log(zeta - z)

    @property
    def activity_logits(self) -> Tensor:
        return self.log_alpha - self.temperature * logit_of_zero(self.stretch)

    @property
    def saturation_logits(self) -> Tensor:
        return self.log_alpha - self.temperature * logit_of_one(self.stretch)

    def unclipped_icdf(self, u: Tensor) -> Tensor:
        gamma, zeta = self.stretch
        return torch.sigmoid((logit(u) + self.log_alpha) / self.temperature) * (zeta - gamma) + gamma

    def survival_logits(self, x: Tensor) -> Tensor:
        return self.log_alpha - self.temperature * self._unstretched_logit(x)

    def log_density(self, z: Tensor) -> Tensor:
        r"""With :math:`y = \log\frac{z-\gamma}{\zeta-z}` the density of z is
        :math:`\beta\,\sigma'(\beta y - \log\alpha)\,\frac{dy}{dz}`."""
        gamma, zeta = self.stretch
        centred = self.temperature * self._unstretched_logit(z) - self.log_alpha
        log_jacobian = math.log(zeta - gamma) - torch.log(z - gamma) - torch.log(zeta - z)
        return torch.log(self.temperature) + logsigmoid(centred) + logsigmoid(-centred) + log_jacobian

    @property
    def noise_free(self) -> Tensor:
        r"""Eq. 13 of the paper, :math:`\operatorname{clip}(\sigma(\log\alpha)(\zeta-\gamma)+\gamma)`:
        neither mean nor median nor mode, and without the temperature."""
        gamma, zeta = self.stretch
        return (torch.sigmoid(self.log_alpha) * (zeta - gamma) + gamma).clamp(0.0, 1.0)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        return interior_rule(self.log_alpha, self.stretch, _NODES_PER_UNIT)


@register_kl(HardConcrete, HardConcrete)
def _kl_hard_concrete(q: HardConcrete, p: HardConcrete) -> Tensor:
    """KL in the mixed measure; see :func:`~l0bayes.distributions.gate_law.mixed_kl`.

    Temperatures and stretches may differ; the base measure is the same for all of them. The
    integral is taken in the logit of the narrower stretch, in which both densities are smooth.
    """
    narrower = max(q.stretch[0], p.stretch[0]), min(q.stretch[1], p.stretch[1])
    nodes, weights = interior_rule(q.log_alpha, narrower, _NODES_PER_UNIT)
    shape = (-1, *(1 for _ in range(max(len(q.batch_shape), len(p.batch_shape)))))
    return mixed_kl(q, p, nodes.reshape(shape), weights.reshape(shape))
