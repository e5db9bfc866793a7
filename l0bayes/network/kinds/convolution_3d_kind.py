r"""Convolutions in three dimensions."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from l0bayes.network.kinds.convolution_kind import ConvolutionKind
from l0bayes.network.kinds.selective import Selective

__all__ = ["Conv3dKind", "SelectiveConv3d"]


class SelectiveConv3d(nn.Conv3d, Selective):
    """A convolution that reads the channels ``index`` of its input.

    Args:
        index: Channels to read, ``torch.long``.
        out_channels: Number of output maps.
        **form: ``kernel_size`` and whatever else ``nn.Conv3d`` takes.
    """

    def __init__(self, index: Tensor, out_channels: int, **form: Any) -> None:
        super().__init__(len(index), out_channels, **form)
        self.register_buffer("index", index)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Conv3d's word
        """Apply the layer to the selected channels."""
        return super().forward(input.index_select(-4, self.index))


class Conv3dKind(ConvolutionKind):
    """``nn.Conv3d``: units are maps."""

    types = (nn.Conv3d,)
    name = "Conv3d"
    spatial = 3
    selective = SelectiveConv3d
