r"""A middle and a spread that outliers move little."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from l0bayes.likelihoods.noise_priors import weak_noise_prior

__all__ = ["median_and_spread", "refuse_jeffreys", "weak_prior"]

# The spread of a Normal law of standard deviation 1 by its median absolute deviation is 1.
_OF_NORMAL = 1.4826022185056018


def median_and_spread(y: Tensor, weights: Tensor) -> tuple[float, float]:
    r"""Weighted median, and 1.4826 times the weighted median of the distances from it.

    Where more than half of the values are the same the spread is the standard deviation; of a constant, 1.

    Args:
        y: Values, shape ``(n,)``.
        weights: How many rows each stands for, shape ``(n,)``.
    """
    middle = _median(y, weights)
    distance = (y - middle).abs()
    spread = _OF_NORMAL * _median(distance, weights)
    if not spread > 1e-13 * float(y.abs().max()):
        share = weights / weights.sum()
        spread = float((share @ (y - share @ y).square()).sqrt())
    return middle, spread if spread > 1e-13 * float(y.abs().max()) else 1.0


def weak_prior(y: Tensor, weights: Tensor) -> tuple[float, float]:
    """Shape and rate of the weak prior of the noise, centred at half of the squared spread.

    Args:
        y: Values, shape ``(n,)``.
        weights: How many rows each stands for, shape ``(n,)``.
    """
    return weak_noise_prior(median_and_spread(y, weights)[1] ** 2)


def refuse_jeffreys(noise_prior: Any) -> None:
    """Refuse a prior under which heavy tails have no bounded evidence.

    Args:
        noise_prior: The argument.

    Raises:
        ValueError: If it is ``"jeffreys"``.
    """
    if isinstance(noise_prior, str) and noise_prior == "jeffreys":
        raise ValueError(
            "noise_prior 'jeffreys' is for Normal noise (SpikeSlabRegressor, --likelihood gaussian): with "
            "few degrees of freedom the evidence of a model that fits some rows exactly would have no bound. "
            "Take 'weak', or a pair (shape, rate) of an inverse gamma law"
        )


def _median(values: Tensor, weights: Tensor) -> float:
    """The middle between the smallest and the largest value with half of the weight on either side."""
    order = torch.argsort(values, stable=True)
    ordered, total = values[order], weights[order].cumsum(0)
    half = 0.5 * float(total[-1])
    slack = 1e-12 * half
    low = int(torch.searchsorted(total, torch.tensor(half - slack, dtype=total.dtype)))
    high = int(torch.searchsorted(total, torch.tensor(half + slack, dtype=total.dtype)))
    last = len(ordered) - 1
    return 0.5 * float(ordered[min(low, last)] + ordered[min(high, last)])
