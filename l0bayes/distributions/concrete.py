r"""The binary concrete law, without stretch or atoms."""

from __future__ import annotations

import math

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from l0bayes.distributions.gate_law import GateLaw
from l0bayes.distributions.numerics import logit, panelled_gauss_legendre, softplus

__all__ = ["BinaryConcrete"]

_HALF_LINE = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 40.0)


class BinaryConcrete(GateLaw):
    r"""Binary concrete gate (Maddison et al. 2017; Jang et al. 2017).

    .. math::
        z = \sigma\bigl((\operatorname{logit} u + \log\alpha)/\beta\bigr), \qquad u \sim U(0,1),
        \qquad P(z > \tfrac12) = \sigma(\log\alpha)

    It draws no exact zeros. Its activity is :math:`P(z > \tfrac12) = \sigma(\log\alpha)`, the
    probability of its zero-temperature limit, and deployment needs that threshold
    (``activity_threshold = 0.5``). With one tied ``log_alpha`` a layer, :math:`\pi = \tfrac12` and
    temperature 0.1 it is the gate of Concrete Dropout (arXiv 1705.07832).

    Args:
        log_alpha: Location, any shape.
        temperature: Positive; float or tensor broadcastable to ``log_alpha``.

    Raises:
        ValueError: With validation on, if the temperature is not positive or ``log_alpha`` not finite.
    """

    arg_constraints = {"log_alpha": constraints.real, "temperature": constraints.positive}
    parameter_names = ("log_alpha", "temperature")
    activity_threshold = 0.5

    def __init__(
        self,
        log_alpha: Tensor | float,
        temperature: Tensor | float = 2.0 / 3.0,
        validate_args: bool | None = None,
    ) -> None:
        self.log_alpha, self.temperature = broadcast_all(log_alpha, temperature)
        TorchDistribution.__init__(self, self.log_alpha.shape, validate_args=validate_args)

    @property
    def activity_logits(self) -> Tensor:
        return self.log_alpha + torch.zeros_like(self.temperature)

    @property
    def saturation_logits(self) -> Tensor:
        return torch.full_like(self.log_alpha, -torch.inf)

    def unclipped_icdf(self, u: Tensor) -> Tensor:
        return torch.sigmoid((logit(u) + self.log_alpha) / self.temperature)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density. A rounded 0 or 1 is read as the nearest number inside, for there is no atom."""
        if self._validate_args:
            self._validate_sample(value)
        info = torch.finfo(self.log_alpha.dtype)
        return self.log_density(value.clamp(info.tiny, 1.0 - info.eps / 2))

    def survival(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.log_alpha - self.temperature * logit(x))

    def log_density(self, z: Tensor) -> Tensor:
        centred = self.temperature * logit(z) - self.log_alpha
        log_jacobian = -torch.log(z) - torch.log1p(-z)
        return torch.log(self.temperature) + logsigmoid(centred) + logsigmoid(-centred) + log_jacobian

    @property
    def noise_free(self) -> Tensor:
        r""":math:`\sigma(\log\alpha)`, as in Eq. 13 of the paper without the stretch."""
        return torch.sigmoid(self.log_alpha)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        half, weights = panelled_gauss_legendre(self.log_alpha, _HALF_LINE, 16)
        y = torch.cat([-half.flip(0), half])
        z = torch.sigmoid(y)
        return z, torch.cat([weights.flip(0), weights]) * z * torch.sigmoid(-y)

    @property
    def variance(self) -> Tensor:
        r""":math:`\int_0^1 2x\,P(z > x)\,dx - E[z]^2`, which unlike the density is bounded at the ends."""
        nodes, weights = self._column_nodes()
        second_moment = (2.0 * weights * nodes * self.survival(nodes)).sum(0)
        return (second_moment - self.mean.square()).clamp(min=0.0)

    def entropy(self) -> Tensor:
        r"""Differential entropy in nats. With :math:`y = (\log\alpha + L)/\beta`, L logistic,

        .. math::
            H = 2 - \log\beta + E[y] - 2E[\operatorname{softplus} y], \qquad
            E[\operatorname{softplus} y] = \frac{\operatorname{softplus}(\log\alpha)}{\beta}
            + \int_0^\infty \log(1 + e^{-y})\,(p(y) + p(-y))\,dy.
        """
        y, weights = panelled_gauss_legendre(self.log_alpha, _HALF_LINE, 16)
        shape = (-1, *(1 for _ in self.batch_shape))
        y, weights = y.reshape(shape), weights.reshape(shape)

        def density(at: Tensor) -> Tensor:
            centred = self.temperature * at - self.log_alpha
            return self.temperature * torch.sigmoid(centred) * torch.sigmoid(-centred)

        tails = (weights * softplus(-y) * (density(y) + density(-y))).sum(0)
        mean_softplus = softplus(self.log_alpha) / self.temperature + tails
        return 2.0 - torch.log(self.temperature) + self.log_alpha / self.temperature - 2.0 * mean_softplus


@register_kl(BinaryConcrete, BinaryConcrete)
def _kl_binary_concrete(q: BinaryConcrete, p: BinaryConcrete) -> Tensor:
    r"""KL in nats, an expectation over the logistic variable of q by an exponentially convergent rule.

    At equal temperatures it is :math:`\delta\coth(\delta/2) - 2` with
    :math:`\delta = \log\alpha_q - \log\alpha_p`.
    """
    y, weights = _logistic_rule(q.log_alpha)
    shape = (-1, *(1 for _ in range(max(len(q.batch_shape), len(p.batch_shape)))))
    y, weights = y.reshape(shape), weights.reshape(shape)
    ratio = p.temperature / q.temperature
    shifted = ratio * (y + q.log_alpha) - p.log_alpha
    log_q = logsigmoid(y) + logsigmoid(-y)
    log_p = torch.log(ratio) + logsigmoid(shifted) + logsigmoid(-shifted)
    return (weights * (log_q - log_p)).sum(0)


def _logistic_rule(like: Tensor) -> tuple[Tensor, Tensor]:
    """Trapezoid rule for expectations under the standard logistic law; exponentially convergent."""
    step, reach = 0.25, 40.0
    y = torch.linspace(-reach, reach, math.ceil(2 * reach / step) + 1, dtype=like.dtype, device=like.device)
    return y, step * torch.sigmoid(y) * torch.sigmoid(-y)
