r"""Numbers of 16 bits, as laws and optimisers need them."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["full_precision"]


def full_precision(x: Tensor) -> Tensor:
    """A tensor in float32 where it is held in 16 bits, in which small steps and log densities are lost.

    Args:
        x: Any tensor.
    """
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
