r"""The evidence of one model, coefficients and learned numbers integrated out together.

By importance sampling with a Student-t law at the joint mode; nothing of the library is used. Benchmarks and
tests take it for a reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Density", "Prior", "joint_evidence"]

_DEGREES = 6.0
_STEPS = 80

Density = Callable[[Tensor, Tensor], Tensor]
"""Log likelihood ``(S,)`` of predictors ``(S, n)`` and logarithms of the learned numbers ``(S, q)``."""

Prior = Callable[[Tensor], Tensor]
"""Log density of the logarithms of the learned numbers."""


def joint_evidence(
    likelihood: Density,
    prior: Prior,
    start: Tensor,
    columns: Tensor,
    scale: Tensor,
    offset: Tensor,
    draws: int,
    generator: torch.Generator,
) -> tuple[float, Tensor]:
    """Log evidence, and posterior mean of the coefficients, shape ``(k,)``.

    Args:
        likelihood: Log likelihood.
        prior: Log prior of the learned numbers.
        start: Logarithms of these to start from, shape ``(q,)``.
        columns: The columns of the model, shape ``(n, k)``.
        scale: Prior standard deviation of each coefficient, shape ``(k,)``.
        offset: Offset of the predictor, shape ``(n,)``.
        draws: Number of draws.
        generator: Where they come from.
    """
    k = columns.shape[1]

    def density(points: Tensor) -> Tensor:
        beta, t = points[:, :k], points[:, k:]
        normal = -0.5 * (beta / scale).square() - scale.log() - 0.5 * math.log(2.0 * math.pi)
        return likelihood(offset + beta @ columns.T, t) + normal.sum(1) + prior(t)

    mode, root = _mode(lambda point: density(point[None])[0], k, start)
    d = len(mode)
    if not d:
        return float(density(torch.zeros(1, 0, dtype=torch.float64))), mode
    normal = torch.randn(draws, d, generator=generator, dtype=torch.float64)
    half = torch.full((draws, 1), _DEGREES / 2.0, dtype=torch.float64)
    standard = normal / (torch._standard_gamma(half, generator) / (_DEGREES / 2.0)).sqrt()
    log_q = math.lgamma((_DEGREES + d) / 2.0) - math.lgamma(_DEGREES / 2.0)
    constant = log_q - 0.5 * d * math.log(_DEGREES * math.pi) - float(root.diagonal().log().sum())
    tail = constant - 0.5 * (_DEGREES + d) * torch.log1p(standard.square().sum(1) / _DEGREES)
    points = mode + standard @ root.T
    ratio = density(points) - tail
    return float(ratio.logsumexp(0)) - math.log(draws), (ratio.softmax(0) @ points)[:k]


def _mode(density: Callable[[Tensor], Tensor], k: int, start: Tensor) -> tuple[Tensor, Tensor]:
    """The joint mode, by Newton's method, and a factor of the inverse of the curvature there."""
    point = torch.cat([torch.zeros(k, dtype=torch.float64), start])
    if not len(point):
        return point, torch.zeros(0, 0, dtype=torch.float64)
    with torch.enable_grad():
        for _ in range(_STEPS):
            slope = torch.func.grad(density)(point)
            curvature = -torch.func.jacrev(torch.func.grad(density))(point)
            values, axes = torch.linalg.eigh(curvature)
            curvature = axes @ torch.diag(values.abs().clamp(min=0.3)) @ axes.T
            step = torch.linalg.solve(curvature, slope)
            step = step / max(1.0, float(step.abs().max()))
            while float(density(point + step)) < float(density(point)) and float(step.abs().max()) > 1e-12:
                step = 0.5 * step
            point = point + step
            if float(step.abs().max()) < 1e-8:
                break
    return point.detach(), torch.linalg.cholesky(torch.linalg.inv(curvature)).detach()
