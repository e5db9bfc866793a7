r"""Quantiles of a law that is averaged over draws of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions.cumulative import cumulative
from l0bayes.infer.randomness import private_randomness

__all__ = ["mixture_quantiles"]

_STEPS = 100
_ACCURACY = 1e-10
_LARGEST = 1e300
# Draws of a response from each draw of the parameters, where its law has no cumulative probabilities.
_REPLICATES = 5


def mixture_quantiles(law: Any, shares: tuple[float, ...], *, seed: int = 0) -> list[Tensor]:
    r"""The points at which the mean of the draws' cumulative probabilities reaches given shares,

    .. math:: q_a = \min\Bigl\{v : \tfrac1S \sum_s P(y \le v \mid \text{draw } s) \ge a\Bigr\},

    found to 1e-10 of probability; for whole numbers the smallest that reaches the share. A law without a
    formula for its cumulative probabilities is drawn from, five responses for each draw.

    Args:
        law: Laws of the responses, batch shape ``(n, S)``: one for each row and draw.
        shares: The shares, each strictly between 0 and 1.
        seed: Seed of draws, where there are any.

    Returns:
        For each share a tensor of shape ``(n,)``.
    """

    def share_below(values: Tensor) -> Tensor:
        mean: Tensor = cumulative(law, values[:, None]).mean(1)
        return mean

    try:
        share_below(law.mean[:, 0])
    except NotImplementedError:
        return _drawn(law, shares, seed)
    if law.support.is_discrete:
        return [_whole(share_below, law, share) for share in shares]
    return [_continuous(share_below, law, share) for share in shares]


def _drawn(law: Any, shares: tuple[float, ...], seed: int) -> list[Tensor]:
    with private_randomness(seed):
        drawn = law.sample((_REPLICATES,)).movedim(0, -1).flatten(1).double()
    return [torch.quantile(drawn, share, dim=1, interpolation="higher") for share in shares]


def _whole(share_below: Callable[[Tensor], Tensor], law: Any, share: float) -> Tensor:
    """The smallest whole number with at least this share at or below it, by halving."""
    high: Tensor = law.mean.median(1).values.double().ceil().clamp(1.0, _LARGEST)
    low = -torch.ones_like(high)
    while bool((short := (share_below(high) < share) & (high < _LARGEST)).any()):
        low = torch.where(short, high, low)
        high = torch.where(short, 2.0 * high, high)
    # Beyond 2**53 whole numbers lie further apart than 1.
    while bool((open_ := high - low > (1e-15 * high).clamp(min=1.0)).any()):
        middle = ((low + high) / 2.0).floor()
        reached = share_below(middle) >= share
        high = torch.where(open_ & reached, middle, high)
        low = torch.where(open_ & ~reached, middle, low)
    return high


def _continuous(share_below: Callable[[Tensor], Tensor], law: Any, share: float) -> Tensor:
    """Secants on the scale of Normal quantiles, where the function is nearly a line, within a bracket."""
    target = torch.special.ndtri(torch.tensor(share, dtype=torch.float64))

    def excess(values: Tensor) -> Tensor:
        below = share_below(values).clamp(1e-300, 1.0 - 1e-16)
        away: Tensor = torch.special.ndtri(below) - target
        return away

    center, width = _middle_and_width(law)
    low, high = center + (target - 1.0) * width, center + (target + 1.0) * width
    of_low, of_high = excess(low), excess(high)
    step = width
    while bool((of_low > 0).any()) or bool((of_high < 0).any()):
        step = 2.0 * step
        low = torch.where(of_low > 0, low - step, low)
        high = torch.where(of_high < 0, high + step, high)
        of_low, of_high = excess(low), excess(high)
    found: Tensor = low
    for number in range(_STEPS):
        line = (low * of_high - high * of_low) / (of_high - of_low).clamp(min=1e-300)
        # Each third step halves, so that no bracket stays long on one side.
        found = 0.5 * (low + high) if number % 3 == 2 else torch.minimum(torch.maximum(line, low), high)
        value = excess(found)
        if bool((value.abs() < _ACCURACY).all()):
            break
        above = value > 0
        high, of_high = torch.where(above, found, high), torch.where(above, value, of_high)
        low, of_low = torch.where(above, low, found), torch.where(above, of_low, value)
        if bool((high - low <= 1e-14 * (low.abs() + high.abs())).all()):
            break
    return found


def _middle_and_width(law: Any) -> tuple[Tensor, Tensor]:
    """Somewhere in the bulk of each row's mixture, and about how wide that is."""
    place = law.loc if "loc" in law.arg_constraints else law.mean
    scale = law.scale if "scale" in law.arg_constraints else law.variance.sqrt()
    width = (scale.square().mean(1) + place.var(1, correction=0)).sqrt()
    return place.mean(1), width.clamp(min=1e-300)
