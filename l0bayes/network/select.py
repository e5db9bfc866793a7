r"""Layers that read some of their input features: what is left of gates on data or on pixels of maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["SelectiveConv1d", "SelectiveConv2d", "SelectiveLinear"]


class SelectiveLinear(nn.Linear):
    """A Linear layer that reads the columns ``index`` of its input.

    Args:
        index: Columns to read, ``torch.long``.
        out_features: Number of outputs.
        bias: Whether there is a bias.
    """

    index: Tensor

    def __init__(self, index: Tensor, out_features: int, bias: bool = True) -> None:
        super().__init__(len(index), out_features, bias)
        self.register_buffer("index", index)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Linear's word
        """Apply the layer to the selected columns."""
        return super().forward(input.index_select(-1, self.index))


class SelectiveConv2d(nn.Conv2d):
    """A convolution that reads the channels ``index`` of its input.

    Args:
        index: Channels to read, ``torch.long``.
        out_channels: Number of output maps.
        **form: ``kernel_size`` and whatever else ``nn.Conv2d`` takes.
    """

    index: Tensor

    def __init__(self, index: Tensor, out_channels: int, **form: Any) -> None:
        super().__init__(len(index), out_channels, **form)
        self.register_buffer("index", index)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Conv2d's word
        """Apply the layer to the selected channels."""
        return super().forward(input.index_select(-3, self.index))


class SelectiveConv1d(nn.Conv1d):
    """A convolution that reads the channels ``index`` of its input.

    Args:
        index: Channels to read, ``torch.long``.
        out_channels: Number of output maps.
        **form: ``kernel_size`` and whatever else ``nn.Conv1d`` takes.
    """

    index: Tensor

    def __init__(self, index: Tensor, out_channels: int, **form: Any) -> None:
        super().__init__(len(index), out_channels, **form)
        self.register_buffer("index", index)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Conv1d's word
        """Apply the layer to the selected channels."""
        return super().forward(input.index_select(-2, self.index))


def resized(
    layer: nn.Linear | nn.Conv1d | nn.Conv2d, rows: Tensor, columns: Tensor, index: Tensor | None
) -> nn.Module:
    """A layer with some of another's output and input features.

    Args:
        layer: The full layer, ungrouped.
        rows: Output features to keep.
        columns: Input features to keep.
        index: Where these stand in the input that comes, where that holds more; else ``None``.
    """
    new: Any
    form: dict[str, Any] = {"bias": layer.bias is not None}
    if isinstance(layer, nn.Linear):
        plain, selective = nn.Linear, SelectiveLinear
    else:
        for key in ("kernel_size", "stride", "padding", "dilation", "padding_mode"):
            form[key] = getattr(layer, key)
        flat = isinstance(layer, nn.Conv1d)
        plain, selective = (nn.Conv1d, SelectiveConv1d) if flat else (nn.Conv2d, SelectiveConv2d)  # type: ignore[assignment]
    new = plain(len(columns), len(rows), **form) if index is None else selective(index, len(rows), **form)
    new = new.to(layer.weight.device, layer.weight.dtype).train(layer.training)
    with torch.no_grad():
        new.weight.copy_(layer.weight[rows][:, columns])
        if layer.bias is not None:
            new.bias.copy_(layer.bias[rows])
    result: nn.Module = new
    return result
