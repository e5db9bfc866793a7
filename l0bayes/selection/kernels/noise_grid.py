r"""Integration over an unknown noise variance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.gram import Gram

__all__ = ["NoiseRule", "noise_rule"]

# Nodes extend to where the integrand is e^-28, 7e-13, of its peak.
_DROP = 28.0
_MOST_NODES = 600
# Log of half the relative error of the trapezoid rule.
_ERROR = math.log(0.5e-11)


@dataclass(frozen=True)
class NoiseRule:
    r"""Nodes of a quadrature over the noise variance.

    Attributes:
        variances: :math:`\sigma^2_t`, shape ``(T,)``.
        log_weights: Log weight of each node, the prior of σ² included, shape ``(T,)``.
        log_evidences: Log of the integrand without the prior at each node, shape ``(T,)``.
    """

    variances: Tensor
    log_weights: Tensor
    log_evidences: Tensor


def noise_rule(problem: GaussianProblem, log_evidence: Callable[[Tensor], Tensor]) -> NoiseRule:
    r"""Trapezoid rule in :math:`t = \log\sigma^2` for the integral over the noise variance.

    The integrand, a sum over models of :math:`e^{-\alpha t - \beta_\gamma e^{-t}}` times what varies
    slowly with :math:`\alpha = a + n/2`, is analytic and falls off fast on both sides, where the trapezoid
    rule converges exponentially: its relative error is about
    :math:`2\,|\Gamma(\alpha + 2\pi i/h)|/\Gamma(\alpha)`, and the step h is the one that makes it 1e-11.

    With many rows the peak is narrow compared with the range in which it may lie, and is searched for by
    halving cells. The log integrand of a model is concave with a curvature of at most
    :math:`\alpha e^c` in a cell of length c about its peak, so that it rises within the cell by at most
    :math:`\alpha e^c c^2/8` above both ends, and by c/2 a column for what varies slowly; cells that cannot
    matter even then are left out.

    Args:
        problem: The problem, whose noise is known or has a prior.
        log_evidence: From σ², a scalar, to the log evidence of all models together at that variance.

    Returns:
        The nodes. A known noise gives one of weight 1.
    """
    gram, noise = problem.gram, problem.noise_prior
    if noise is None:
        variance = gram.square.new_tensor(problem.noise_variance)
        return NoiseRule(variance[None], variance.new_zeros(1), log_evidence(variance)[None])
    alpha = noise.shape + 0.5 * problem.num_observations
    step = _step(alpha)
    # The modes of the largest and of the empty model: those of all others lie between them.
    high = math.log((noise.rate + 0.5 * float(gram.square)) / alpha)
    low = min(high, math.log((noise.rate + 0.5 * _least_squares(gram, _shrinkage(problem))) / alpha))
    values: dict[int, float] = {}

    def value(index: int) -> float:
        if index not in values:
            t = gram.square.new_tensor(low + index * step)
            values[index] = float(noise.log_density_of_log(t) + log_evidence(t.exp())) + math.log(step)
        return values[index]

    span = math.ceil((high - low) / step)
    width = _first_width(span)
    cells = list(range(0, span + width, width))
    last = cells[-1] + width
    while width > 1:
        best = max(max(value(cell), value(cell + width)) for cell in cells)
        length = width * step
        hidden = 0.125 * alpha * math.exp(length) * length**2 + 0.5 * problem.num_columns * length
        width //= 2
        cells = [
            half
            for cell in cells
            if max(value(cell), value(cell + 2 * width)) > best - _DROP - hidden
            for half in (cell, cell + width)
        ]
    for cell in cells:
        value(cell)
        value(cell + 1)
    for index, direction in ((-1, -1), (last + 1, 1)):
        while value(index) > max(values.values()) - _DROP and len(values) < _MOST_NODES:
            index += direction
    kept = sorted(index for index in values if values[index] > max(values.values()) - _DROP)
    t = gram.square.new_tensor([low + index * step for index in kept])
    log_weights = noise.log_density_of_log(t) + math.log(step)
    return NoiseRule(t.exp(), log_weights, t.new_tensor([values[index] for index in kept]) - log_weights)


def _first_width(count: int) -> int:
    """The largest power of two that is at most an eighth of so many steps, or 1."""
    return 1 << max(0, (count // 8).bit_length() - 1)


def _step(alpha: float) -> float:
    r"""The step whose error is :data:`_ERROR`, with Stirling's formula for
    :math:`\log|\Gamma(\alpha + iy)| - \log\Gamma(\alpha) \approx
    \tfrac12(\alpha - \tfrac12)\log(1 + y^2/\alpha^2) - y\arctan(y/\alpha)`, solved for y by bisection."""
    low, high = 0.0, 100.0 * (1.0 + alpha)
    for _ in range(60):
        y = 0.5 * (low + high)
        ratio = 0.5 * (alpha - 0.5) * math.log1p((y / alpha) ** 2) - y * math.atan(y / alpha)
        low, high = (y, high) if ratio > _ERROR else (low, y)
    return 2.0 * math.pi / high


def _shrinkage(problem: GaussianProblem) -> Tensor | None:
    """Prior precisions in units of the noise's: they keep a residual where least squares leave none."""
    if not problem.slab_scaled_by_noise:
        return None
    nothing = problem.x.new_zeros(problem.num_unpenalised)
    return torch.cat([nothing, problem.slab_scale.square().reciprocal()])


def _least_squares(gram: Gram, shrinkage: Tensor | None = None) -> float:
    """Residual sum of squares of all columns together, with that of the coefficients if they are shrunk."""
    matrix = gram.matrix if shrinkage is None else gram.matrix + torch.diag(shrinkage)
    fitted = torch.linalg.lstsq(matrix, gram.vector[:, None], driver="gelsd").solution[:, 0]
    return max(0.0, float(gram.square - gram.vector @ fitted))
