r"""Numerics shared by the gate laws: stable Bernoulli terms and fixed quadrature rules."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = [
    "as_float",
    "bernoulli_entropy",
    "bernoulli_kl",
    "binary_draws",
    "gauss_legendre",
    "log1mexp",
    "logistic_rule",
    "logit",
    "panelled_gauss_legendre",
    "softplus",
]


def softplus(x: Tensor) -> Tensor:
    r"""``log(1 + exp(x))``, exact to rounding in the whole range.

    torch's own ``softplus`` becomes the identity beyond 20, an error of 2e-9 that float64 would show.

    Args:
        x: Any shape.
    """
    return -logsigmoid(-x)


def as_float(value: Tensor | float) -> Tensor:
    """A floating-point tensor.

    Args:
        value: A floating-point tensor, which is returned as it is; or a number or a tensor of
            integers, which gets the default dtype.
    """
    if isinstance(value, Tensor) and value.is_floating_point():
        return value
    return torch.as_tensor(value, dtype=torch.get_default_dtype())


def binary_draws(probability: Tensor) -> Tensor:
    """Zeros and ones in the dtype of their probability, without gradient.

    By comparison with uniform numbers, and not by ``torch.bernoulli``, which a compiler replaces by other
    random numbers than those of eager mode.

    Args:
        probability: Of a one, any shape.
    """
    return (torch.rand_like(probability) < probability).to(probability.dtype)


def logit(p: Tensor) -> Tensor:
    r""":math:`\log p - \log(1 - p)`; 0 and 1 give the infinities.

    Args:
        p: Probabilities, any shape.
    """
    return torch.log(p) - torch.log1p(-p)


def log1mexp(x: Tensor) -> Tensor:
    """``log(1 - exp(x))`` for negative x, exact to rounding at both ends.

    Args:
        x: Negative, any shape; 0 gives minus infinity.
    """
    near = x > -math.log(2.0)
    # By sinh, for TorchInductor compiles expm1(x) into exp(x) - 1 on a CPU.
    half = 0.5 * torch.where(near, x, -1.0)
    of_near = half + torch.log(-2.0 * torch.sinh(half))
    return torch.where(near, of_near, torch.log1p(-torch.exp(torch.where(near, -1.0, x))))


def bernoulli_entropy(logits: Tensor) -> Tensor:
    r"""Entropy of a Bernoulli in nats, from its logit :math:`\ell`.

    .. math:: H = \operatorname{softplus}(\ell) - \ell\,\sigma(\ell)

    It is evaluated on :math:`-|\ell|` (the entropy is even), where both terms are small, so that no
    large numbers cancel.

    Args:
        logits: Logit of the law, any shape.
    """
    tail = torch.where(logits > 0, -logits, logits)  # -abs, whose second derivative at 0 is lost
    return softplus(tail) - tail * torch.sigmoid(tail)


def bernoulli_kl(logits: Tensor, prior_logits: Tensor) -> Tensor:
    r"""KL divergence in nats between two Bernoulli laws given by their logits.

    .. math::
        \mathrm{KL}(\mathrm{Bern}\,\sigma(\ell)\,\|\,\mathrm{Bern}\,\sigma(m))
        = \sigma(\ell)\,(\ell - m) - \operatorname{softplus}(\ell) + \operatorname{softplus}(m)

    No logarithm of a probability is taken, so it stays finite for every finite logit. Exchanging 0
    and 1 changes the sign of both logits and leaves the KL as it is; it is evaluated with
    :math:`\ell \le 0`, so that two open gates lose no digits to the difference of large numbers.

    Args:
        logits: Logit of the first law, any shape.
        prior_logits: Logit of the second law, broadcastable to it.
    """
    tail = torch.where(logits > 0, -logits, logits)
    prior = torch.where(logits > 0, -prior_logits, prior_logits)
    return torch.sigmoid(tail) * (tail - prior) - softplus(tail) + softplus(prior)


@lru_cache(maxsize=32)
def _legendre(order: int, edges: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    points: list[float] = []
    masses: list[float] = []
    for low, high in itertools.pairwise(edges):
        half = 0.5 * (high - low)
        points.extend((low + half * (1.0 + nodes)).tolist())
        masses.extend((half * weights).tolist())
    return tuple(points), tuple(masses)


def panelled_gauss_legendre(like: Tensor, edges: tuple[float, ...], order: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights on the panels between consecutive ``edges``.

    Args:
        like: Gives dtype and device.
        edges: Increasing panel borders.
        order: Nodes per panel.

    Returns:
        Nodes and weights, each of shape ``(order * (len(edges) - 1),)``.
    """
    nodes, weights = _legendre(order, edges)
    return like.new_tensor(nodes), like.new_tensor(weights)


def logistic_rule(like: Tensor, batch_dim: int) -> tuple[Tensor, Tensor]:
    r"""Trapezoid rule for expectations under the standard logistic law.

    A function without singularities closer than π to the real line is integrated to rounding.

    Args:
        like: Gives dtype and device.
        batch_dim: Number of trailing dimensions of size 1 to append.

    Returns:
        Nodes and weights, each of shape ``(161, 1, ..., 1)``.
    """
    nodes = torch.linspace(-40.0, 40.0, 161, dtype=like.dtype, device=like.device)
    nodes = nodes.reshape((-1, *(1 for _ in range(batch_dim))))
    return nodes, 0.5 * torch.sigmoid(nodes) * torch.sigmoid(-nodes)


def gauss_legendre(like: Tensor, low: float, high: float, order: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights on one interval.

    Args:
        like: Gives dtype and device.
        low: Left end of the interval.
        high: Right end.
        order: Number of nodes.

    Returns:
        Nodes and weights, each of shape ``(order,)``.
    """
    return panelled_gauss_legendre(like, (low, high), order)
