"""The probabilities of quantiles, in the shape in which laws take them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["quantile_levels"]


def quantile_levels(quantiles: Sequence[float] | Tensor, like: Tensor) -> Tensor:
    """The probabilities along a first dimension, to broadcast against a value.

    Args:
        quantiles: Probabilities in [0, 1].
        like: The value; it sets the number of trailing dimensions, dtype and device.
    """
    values = torch.as_tensor(quantiles, dtype=like.dtype, device=like.device)
    return values.reshape(-1, *(1 for _ in like.shape))
