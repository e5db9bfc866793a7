r"""Draws of the coefficients, and summaries of each given that its gate is open."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes import validate

__all__ = ["Coefficients", "narrowest_interval"]


@dataclass(frozen=True)
class Coefficients:
    r"""Draws of the coefficients, and summaries of each given that its gate is open.

    Attributes:
        beta: Draws of the gated coefficients, zeros where a gate is shut, shape ``(S, p)``.
        unpenalised: Draws of the coefficients without a gate, shape ``(S, k)``.
        noise_scale: Draws of σ, shape ``(S,)``.
        conditional_mean: :math:`E[\beta_j \mid \gamma_j = 1]`, shape ``(p,)``.
        conditional_sd: Standard deviation of :math:`\beta_j` given that its gate is open, shape ``(p,)``.
        conditional_draws: Draws of :math:`\beta_j` given that its gate is open, shape ``(S, p)``.
        positive: :math:`P(\beta_j > 0 \mid \gamma_j = 1)`, shape ``(p,)``.
    """

    beta: Tensor
    unpenalised: Tensor
    noise_scale: Tensor
    conditional_mean: Tensor
    conditional_sd: Tensor
    conditional_draws: Tensor
    positive: Tensor


def narrowest_interval(draws: Tensor, probability: float) -> Tensor:
    """The narrowest interval that holds a share of the draws, shape ``(p, 2)``.

    Args:
        draws: Shape ``(S, p)``.
        probability: The share, strictly between 0 and 1.

    Raises:
        ValueError: If ``probability`` is not strictly between 0 and 1.
    """
    validate.inside("(0, 1)", probability=probability)
    ordered = draws.sort(0).values
    inside = max(1, round(probability * len(draws)))
    widths = ordered[inside - 1 :] - ordered[: len(ordered) - inside + 1]
    first = widths.argmin(0)
    columns = torch.arange(draws.shape[1])
    return torch.stack([ordered[first, columns], ordered[first + inside - 1, columns]], 1)
