r"""Indices drawn by weight, by inverting the distribution function."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["independent_indices", "systematic_indices"]


def independent_indices(weights: Tensor, count: int) -> Tensor:
    """Independent draws, for any number of entries (``multinomial`` takes at most 2**24).

    Args:
        weights: Not negative, shape ``(n,)``; they need not sum to 1.
        count: Number of draws.
    """
    cumulative = weights.cumsum(0)
    places = torch.rand(count, dtype=weights.dtype) * cumulative[-1]
    return torch.searchsorted(cumulative, places).clamp(max=len(weights) - 1)


def systematic_indices(weights: Tensor, count: int) -> Tensor:
    """Systematic draws, in order: every index is drawn its expected number of times, rounded up or down.

    Args:
        weights: Not negative, shape ``(n,)``; they need not sum to 1.
        count: Number of draws.
    """
    places = (torch.arange(count, dtype=weights.dtype) + torch.rand((), dtype=weights.dtype)) / count
    cumulative = weights.cumsum(0)
    return torch.searchsorted(cumulative / cumulative[-1], places).clamp(max=len(weights) - 1)
