r"""Draws by weight, by inverting the distribution function."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.problem.selection_posterior import SelectionPosterior

__all__ = ["equally_weighted", "independent_indices", "systematic_indices"]


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


def equally_weighted(posterior: SelectionPosterior, seed: int) -> SelectionPosterior:
    """The same with a sample of models of equal weight, so that it can be handed on as draws.

    Args:
        posterior: The posterior.
        seed: Seed of the sample.
    """
    draws = posterior.draws
    count = len(draws.weights)
    if bool((draws.weights - 1.0 / count).abs().max() <= 1e-9 / count):
        return posterior
    with private_randomness(seed):
        index = systematic_indices(draws.weights, count)
    equal = torch.full((count,), 1.0 / count, dtype=torch.float64)
    drawn = draws.some(index, equal)
    return replace(posterior, draws=drawn)
