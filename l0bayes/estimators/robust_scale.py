r"""A middle and a spread that outliers move little."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["median_and_spread"]

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
