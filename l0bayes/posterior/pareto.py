r"""Pareto k-hat: how far an approximate posterior can be trusted as a proposal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["LARGEST_K_HAT", "effective_share", "pareto_k", "ratios_are_usable", "smoothed_log_weights"]

LARGEST_K_HAT = 0.7
"""Up to this k-hat averages weighted by the ratios are usable."""

_FEWEST_IN_TAIL = 5
# Log ratios this near are one value but for rounding; a tail of few values is one of a discrete law.
_TIE, _DRAWS_A_VALUE = 1e-5, 4
# Then the share of the largest value is known, from as many draws, or is small.
_DRAWS_OF_LARGEST, _SHARE = 100, 0.5
# Ratios that leave as large a share of the draws effective hardly vary, and their tail says nothing.
_ALL_EFFECTIVE = 0.99


def ratios_are_usable(k_hat: float, share: float) -> bool:
    r"""Whether averages weighted by importance ratios may be used.

    They may with :math:`\hat k \le 0.7`; and where nearly all draws are effective, since k-hat then describes
    noise: of ratios that are equal but for rounding it can be anything.

    Args:
        k_hat: Pareto k-hat of the ratios.
        share: The share of the draws that they leave effective.
    """
    return k_hat <= LARGEST_K_HAT or share >= _ALL_EFFECTIVE


def pareto_k(log_ratios: Tensor) -> float:
    r"""Shape of the generalised Pareto law fitted to the largest importance ratios.

    With draws from q and :math:`r = p(D, z, \theta) / q(z, \theta)`, ratios have about :math:`1/\hat k`
    finite moments. Below 0.5 averages weighted by them are reliable, up to 0.7 usable, above 0.7 q misses
    a part of the posterior that matters, and beyond 1 even the mean of the ratios does not exist.

    The tail has :math:`\min(0.2 S, 3 \sqrt S)` of S draws; k is the estimator of Zhang and Stephens (2009)
    with the prior of ten observations at ½ of Vehtari et al. (arXiv 1507.02646).

    Args:
        log_ratios: :math:`\log r` up to a constant, shape ``(S,)``.

    Returns:
        :math:`\hat k`; minus infinity where there is no tail, since all ratios are equal (q is the posterior)
        or the largest take few values that were drawn often (a few states of gates, and nothing else);
        infinity where there are too few draws for a tail.

    Raises:
        ValueError: If a ratio is NaN or plus infinity.
    """
    return _fit(log_ratios)[0]


def effective_share(log_ratios: Tensor) -> float:
    r"""Effective over actual number of draws, :math:`(\sum r)^2 / (S \sum r^2)`, 1 where all are equal.

    Args:
        log_ratios: :math:`\log r` up to a constant, shape ``(S,)``.
    """
    weights = torch.softmax(log_ratios.to(torch.float64), 0)
    return float(1.0 / (len(weights) * weights.square().sum()))


def smoothed_log_weights(log_ratios: Tensor) -> tuple[Tensor, float]:
    r"""Pareto-smoothed importance weights: the tail replaced by expected order statistics of its fit.

    Args:
        log_ratios: :math:`\log r` up to a constant, shape ``(S,)``.

    Returns:
        Logarithms of weights that sum to 1, in the order of the draws, and :math:`\hat k`.

    Raises:
        ValueError: If a ratio is NaN or plus infinity.
    """
    k, scale, tail, cutoff = _fit(log_ratios)
    logs = log_ratios.to(torch.float64) - log_ratios.max().to(torch.float64)
    if math.isfinite(k) and len(tail):
        ranks = (torch.arange(len(tail), dtype=torch.float64) + 0.5) / len(tail)
        ordered = tail[logs[tail].argsort()]
        logs = logs.clone()
        logs[ordered] = torch.log(math.exp(cutoff) + _pareto_quantile(ranks, k, scale)).clamp(max=0.0)
    return logs - torch.logsumexp(logs, 0), k


def _fit(log_ratios: Tensor) -> tuple[float, float, Tensor, float]:
    """k-hat, scale, index of the tail's draws, and the cutoff in logs relative to the largest."""
    if torch.isnan(log_ratios).any() or (log_ratios == math.inf).any():
        raise ValueError("log_ratios must not hold NaN or plus infinity")
    logs = log_ratios.to(torch.float64)
    logs = logs - logs.max()
    count = math.ceil(min(0.2 * len(logs), 3.0 * math.sqrt(len(logs))))
    order = logs.argsort()
    cutoff = float(logs[order[-count - 1]]) if count < len(logs) else -math.inf
    # Below this a ratio is nothing beside the largest one.
    cutoff = max(cutoff, math.log(torch.finfo(torch.float64).tiny))
    tail = (logs > cutoff).nonzero()[:, 0]
    if float(logs.max() - logs.min()) < 1e-12:
        return -math.inf, 0.0, tail[:0], cutoff
    if _has_few_values(logs, logs[order[-count:]]):
        return -math.inf, 0.0, tail[:0], cutoff
    if len(tail) < _FEWEST_IN_TAIL:
        return math.inf, 0.0, tail, cutoff
    excess = (logs[tail].exp() - math.exp(cutoff)).sort().values
    k, scale = _zhang_stephens(excess)
    return k, scale, tail, cutoff


def _has_few_values(logs: Tensor, largest: Tensor) -> bool:
    """Whether the largest ratios, sorted, are those of a few states whose probabilities the draws tell."""
    values = 1 + int((largest.diff() > _TIE).sum())
    if values * _DRAWS_A_VALUE > len(largest) or not bool(torch.isfinite(largest).all()):
        return False
    of_largest = int((logs > -_TIE).sum())
    return of_largest >= _DRAWS_OF_LARGEST or effective_share(logs) >= _SHARE


def _zhang_stephens(excess: Tensor) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto law from sorted positive values."""
    n = len(excess)
    grid = 30 + int(math.sqrt(n))
    quarter = excess[int(n / 4 + 0.5) - 1]
    points = torch.arange(1, grid + 1, dtype=torch.float64)
    theta = (1.0 - (grid / (points - 0.5)).sqrt()) / (3.0 * quarter) + 1.0 / excess[-1]
    shape = torch.log1p(-theta[:, None] * excess).mean(1)
    profile = n * (torch.log(-theta / shape) - shape - 1.0)
    weight = torch.softmax(profile, 0)
    best = (theta * weight).sum()
    k = float(torch.log1p(-best * excess).mean())
    scale = -k / float(best)
    return (n * k + 10.0 * 0.5) / (n + 10.0), scale


def _pareto_quantile(probability: Tensor, k: float, scale: float) -> Tensor:
    if abs(k) < 1e-12:
        return -scale * torch.log1p(-probability)
    return scale * torch.expm1(-k * torch.log1p(-probability)) / k
