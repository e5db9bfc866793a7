r"""What stands in the place of a gated block once its gate is decided."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["BlockStandIn", "Scaled", "Skip"]


class BlockStandIn(nn.Module):
    """A module in the place of a gated block."""

    @property
    def kept(self) -> nn.Module | None:
        """The block, where something of it is left."""
        return None


class Skip(BlockStandIn):
    """What remains of a shut block.

    Args:
        adds: Whether the block's output was added to something by its caller: it is 0 then, and the
            block's input where the residual connection was inside.
    """

    def __init__(self, adds: bool) -> None:
        super().__init__()
        self.adds = adds

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The input, or 0."""
        return x.new_zeros(()) if self.adds else x

    def extra_repr(self) -> str:
        return "0" if self.adds else "identity"


class Scaled(BlockStandIn):
    """A block whose gate is neither 0 nor 1.

    Args:
        block: The block.
        gate: The gate's value.
        adds: As for :class:`Skip`.
    """

    def __init__(self, block: nn.Module, gate: float, adds: bool) -> None:
        super().__init__()
        self.block, self.gate, self.adds = block, gate, adds

    @property
    def kept(self) -> nn.Module:
        return self.block

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The block's output times its gate, beside the input where the residual connection is inside."""
        y: Tensor = self.block(x, *args, **kwargs)
        return self.gate * y if self.adds else torch.lerp(x, y, self.gate)

    def extra_repr(self) -> str:
        return f"gate={self.gate:.4g}"
