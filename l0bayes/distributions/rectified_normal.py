r"""The rectified Normal law of Yamada, Lindenbaum, Negahban and Kluger (2020)."""

from __future__ import annotations

import math

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid
from torch.special import log_ndtr, ndtri

from l0bayes.distributions.constraints import finite
from l0bayes.distributions.gate_law import GateLaw, mixed_kl
from l0bayes.distributions.numerics import gauss_legendre

__all__ = ["RectifiedNormal", "probit_of_logit"]

# Beyond the window the density is below exp(-81 / 2), 3e-18, of its maximum on (0, 1). On the
# widest window, 18 standard deviations, the rule is good to 1e-13; with 32 nodes it would be to 1e-8.
_WINDOW = 81.0
_NODES = 48
_FAR = 30.0


class RectifiedNormal(GateLaw):
    r"""Stochastic gate: a Normal variable clipped to [0, 1].

    With :math:`\varepsilon \sim N(0, 1)`, location :math:`\mu` and scale :math:`\sigma`,

    .. math::
        z = \min(1, \max(0, \mu + \sigma\varepsilon)), \qquad
        P(z \ne 0) = \Phi(\mu/\sigma), \qquad P(z = 1) = \Phi((\mu - 1)/\sigma).

    Its tails are Gaussian, so a gate closes faster in its location than the hard concrete's does: at the
    default scale :math:`P(z \ne 0)` is below 1e-3 at :math:`\mu = -1.55`.

    Source: arXiv 1810.04247, section 3 (there the mean is :math:`\mu` and the scale fixed at 0.5).

    Args:
        loc: Location, any shape.
        scale: Positive; a float or a tensor broadcastable to ``loc``. A buffer may be passed and changed
            in place between steps.

    Raises:
        ValueError: With validation on, if ``scale`` is not positive or ``loc`` is not finite.
    """

    arg_constraints = {"loc": finite, "scale": constraints.positive}
    parameter_names = ("loc", "scale")

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float = 0.5,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        TorchDistribution.__init__(self, self.loc.shape, validate_args=validate_args)

    @property
    def activity_logits(self) -> Tensor:
        return _probit_to_logit(self.loc / self.scale)

    @property
    def saturation_logits(self) -> Tensor:
        return _probit_to_logit((self.loc - 1.0) / self.scale)

    def unclipped_icdf(self, u: Tensor) -> Tensor:
        standard: Tensor = ndtri(u)
        return self.loc + self.scale * standard

    def survival_logits(self, x: Tensor) -> Tensor:
        return _probit_to_logit((self.loc - x) / self.scale)

    def log_density(self, z: Tensor) -> Tensor:
        """The Normal's own; its normaliser is that of the whole line."""
        standard = (z - self.loc) / self.scale
        return -0.5 * standard.square() - torch.log(self.scale) - 0.5 * math.log(2.0 * math.pi)

    @property
    def noise_free(self) -> Tensor:
        r""":math:`\operatorname{clip}(\mu)`, the gate that the source uses after training."""
        return self.loc.clamp(0.0, 1.0)

    def _window(self) -> tuple[Tensor, Tensor]:
        """The part of [0, 1] that holds the interior's mass, each end of the batch shape, detached.

        It is measured from the largest density on (0, 1), not from ``loc``, so that a gate that is all
        but shut or open keeps the relative accuracy of its tail.
        """
        loc, scale = self.loc.detach(), self.scale.detach()
        low, high = -loc / scale, (1.0 - loc) / scale
        mode = torch.zeros_like(loc).clamp(low, high)
        reach = (mode.square() + _WINDOW).sqrt()
        lower = torch.where(low > -reach, 0.0, loc - scale * reach)
        upper = torch.where(high < reach, 1.0, loc + scale * reach)
        return lower.clamp(0.0, 1.0), upper.clamp(0.0, 1.0)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Gauss-Legendre on each gate's own window."""
        shape = (-1, *(1 for _ in self.batch_shape))
        nodes, weights = gauss_legendre(self.loc, 0.0, 1.0, _NODES)
        lower, upper = self._window()
        width = upper - lower
        return lower + width * nodes.reshape(shape), width * weights.reshape(shape)

    @property
    def mean(self) -> Tensor:
        r""":math:`\int_0^1 P(z > x)\,dx`; the survival is 1 below the window. (Batch shape.)

        The closed form is a difference of two numbers that are large where the gate is open.
        """
        lower, _ = self._window()
        return (lower + super().mean).clamp(max=1.0)


def _probit_to_logit(probit: Tensor) -> Tensor:
    r""":math:`\operatorname{logit}\Phi(m)`, from logarithms of both tails."""
    above: Tensor = log_ndtr(probit)
    below: Tensor = log_ndtr(-probit)
    return above - below


def probit_of_logit(logits: Tensor) -> Tensor:
    r""":math:`\Phi^{-1}(\sigma(\ell))`: the location, in units of the scale, that has a given activity.

    Beyond 30 nats, where a probability would soon be 0 or 1, Newton's iteration solves
    :math:`\log\Phi(-t) = \log\sigma(-|\ell|)`.

    Args:
        logits: Activity logits, any shape.
    """
    size = logits.abs()
    near = -ndtri(torch.sigmoid(-size.clamp(max=_FAR)))
    tail = -logsigmoid(-size.clamp(min=_FAR))
    t = (2.0 * tail - torch.log(4.0 * math.pi * tail)).sqrt()
    for _ in range(4):
        log_tail = log_ndtr(-t)
        slope = torch.exp(-0.5 * (t.square() + math.log(2.0 * math.pi)) - log_tail)
        t = t + (log_tail + tail) / slope
    return torch.where(size < _FAR, near, t).copysign(logits)


@register_kl(RectifiedNormal, RectifiedNormal)
def _kl_rectified_normal(q: RectifiedNormal, p: RectifiedNormal) -> Tensor:
    """KL in the mixed measure; see :func:`~l0bayes.distributions.gate_law.mixed_kl`. Both log densities
    are parabolas, so the window of q serves whatever the scale of p."""
    q = q.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))
    return mixed_kl(q, p, *q.quadrature())
