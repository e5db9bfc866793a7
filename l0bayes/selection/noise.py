r"""Integration over an unknown noise variance."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from l0bayes.selection.gram import Gram
from l0bayes.selection.problem import InverseGamma

__all__ = ["noise_rule"]

# Nodes go out until the integrand has fallen by e^-36 from its peak, 2e-16.
_DROP = 36.0
_MOST_NODES = 600


def noise_rule(gram: Gram, log_evidence: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    r"""Trapezoid rule in :math:`t = \log\sigma^2` for the integral over the noise variance.

    The integrand, a sum over models of :math:`e^{-\alpha t - \beta_\gamma e^{-t}}` times what varies
    slowly with :math:`\alpha = a + n/2`, is analytic and falls off fast on both sides, where the trapezoid
    rule converges exponentially: its relative error is :math:`|\Gamma(\alpha + 2\pi i/h)|/\Gamma(\alpha)`,
    below 1e-9 at the steps taken here.

    Args:
        gram: Second moments; its problem's ``noise`` says what is known.
        log_evidence: From σ², a scalar, to the log evidence of all models together at that variance.

    Returns:
        Noise variances and log weights, each of shape ``(T,)``; the weights hold the prior of σ². A known
        noise gives one node of weight 1.
    """
    problem = gram.problem
    noise = problem.noise
    if not isinstance(noise, InverseGamma):
        return gram.square.new_tensor([float(noise) ** 2]), gram.square.new_zeros(1)
    alpha = noise.shape + 0.5 * problem.num_observations
    step = (0.7 if alpha > 10.0 else 0.4) / math.sqrt(alpha)
    # Where the largest and the empty model have their modes, so that nothing between them is missed.
    high = math.log((noise.rate + 0.5 * float(gram.square)) / alpha)
    low = min(high, math.log((noise.rate + 0.5 * _least_squares(gram)) / alpha))
    values: dict[int, float] = {}

    def value(index: int) -> float:
        if index not in values:
            t = gram.square.new_tensor(low + index * step)
            values[index] = float(noise.log_density_of_log(t) + log_evidence(t.exp()))
        return values[index]

    inside = range(math.ceil((high - low) / step) + 1)
    for index in inside:
        value(index)
    for index, direction in ((-1, -1), (len(inside), 1)):
        while value(index) > max(values.values()) - _DROP and len(values) < _MOST_NODES:
            index += direction
    kept = sorted(index for index in values if values[index] > max(values.values()) - _DROP)
    t = gram.square.new_tensor([low + index * step for index in kept])
    return t.exp(), noise.log_density_of_log(t) + math.log(step)


def _least_squares(gram: Gram) -> float:
    """Residual sum of squares of all columns together."""
    fitted = torch.linalg.lstsq(gram.matrix, gram.vector[:, None], driver="gelsd").solution[:, 0]
    return max(0.0, float(gram.square - gram.vector @ fitted))
