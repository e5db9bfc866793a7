"""Mean and standard deviation of a slab's prior, as a guide keeps them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["moments_of"]


def moments_of(fn: Any) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation; those of heavy tails and penalties, which have none, are 0 and 1.

    Args:
        fn: The prior.
    """
    shape = fn.event_shape
    try:
        loc, scale = fn.mean, fn.variance.sqrt()
    except NotImplementedError:
        loc = scale = torch.full(shape, torch.nan)
    loc, scale = (value.detach().expand(fn.shape()) for value in (loc, scale))
    loc = torch.where(torch.isfinite(loc), loc, 0.0)
    return _narrow(loc), _narrow(torch.where(torch.isfinite(scale), scale, 1.0))


def _narrow(value: Tensor) -> Tensor:
    """A tensor of one number in all entries in the memory of one number."""
    if value.numel() > 1 and bool((value == value.flatten()[0]).all()):
        return value.flatten()[0].clone().expand(value.shape)
    return value
