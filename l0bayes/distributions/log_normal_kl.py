r"""KL divergences from the log-normal, the guide's law of positive latents, to usual scale priors.

With :math:`x \sim \mathrm{LogNormal}(\mu, \sigma)`: :math:`E[\log x] = \mu`,
:math:`E[x^k] = \exp(k\mu + k^2\sigma^2/2)`, and the entropy is
:math:`\mu + \tfrac12 + \tfrac12\log(2\pi\sigma^2)`, so that these need no sampling.
"""

from __future__ import annotations

import math

import torch
from pyro.distributions import InverseGamma
from torch import Tensor
from torch.distributions import Exponential, Gamma, HalfNormal, LogNormal, register_kl

__all__: list[str] = []


def _entropy(q: LogNormal) -> Tensor:
    return q.loc + 0.5 + 0.5 * math.log(2.0 * math.pi) + torch.log(q.scale)


def _moment(q: LogNormal, power: float) -> Tensor:
    return torch.exp(power * q.loc + 0.5 * power**2 * q.scale.square())


@register_kl(LogNormal, Gamma)
def _log_normal_gamma(q: LogNormal, p: Gamma) -> Tensor:
    shape, rate = p.concentration, p.rate
    expected = shape * torch.log(rate) - torch.lgamma(shape) + (shape - 1.0) * q.loc - rate * _moment(q, 1.0)
    return -_entropy(q) - expected


@register_kl(LogNormal, InverseGamma)
def _log_normal_inverse_gamma(q: LogNormal, p: InverseGamma) -> Tensor:
    shape, scale = p.concentration, p.rate
    normaliser: Tensor = shape * torch.log(scale) - torch.lgamma(shape)
    expected: Tensor = normaliser - (shape + 1.0) * q.loc - scale * _moment(q, -1.0)
    return -_entropy(q) - expected


@register_kl(LogNormal, Exponential)
def _log_normal_exponential(q: LogNormal, p: Exponential) -> Tensor:
    return -_entropy(q) - torch.log(p.rate) + p.rate * _moment(q, 1.0)


@register_kl(LogNormal, HalfNormal)
def _log_normal_half_normal(q: LogNormal, p: HalfNormal) -> Tensor:
    expected = 0.5 * math.log(2.0 / math.pi) - torch.log(p.scale) - _moment(q, 2.0) / (2.0 * p.scale.square())
    return -_entropy(q) - expected
