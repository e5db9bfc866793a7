r"""Convolutions in one and two dimensions, depthwise and grouped ones among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape
from l0bayes.network.kinds.recognition import GatePlacement
from l0bayes.network.kinds.selective import Selective
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["Conv1dKind", "Conv2dKind", "ConvolutionKind", "SelectiveConv1d", "SelectiveConv2d"]


class SelectiveConv1d(nn.Conv1d, Selective):
    """A convolution that reads the channels ``index`` of its input.

    Args:
        index: Channels to read, ``torch.long``.
        out_channels: Number of output maps.
        **form: ``kernel_size`` and whatever else ``nn.Conv1d`` takes.
    """

    def __init__(self, index: Tensor, out_channels: int, **form: Any) -> None:
        super().__init__(len(index), out_channels, **form)
        self.register_buffer("index", index)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Conv1d's word
        """Apply the layer to the selected channels."""
        return super().forward(input.index_select(-2, self.index))


class SelectiveConv2d(nn.Conv2d, Selective):
    """A convolution that reads the channels ``index`` of its input.

    Args:
        index: Channels to read, ``torch.long``.
        out_channels: Number of output maps.
        **form: ``kernel_size`` and whatever else ``nn.Conv2d`` takes.
    """

    def __init__(self, index: Tensor, out_channels: int, **form: Any) -> None:
        super().__init__(len(index), out_channels, **form)
        self.register_buffer("index", index)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Conv2d's word
        """Apply the layer to the selected channels."""
        return super().forward(input.index_select(-3, self.index))


class ConvolutionKind(LayerKind):
    """Convolutions: units are maps.

    In a depthwise convolution every output map reads the one input map of its number: they are one unit.
    Any other grouped convolution stays whole, since its groups are of equal size.

    Attributes:
        spatial: Number of spatial dimensions.
        selective: The class of such a layer that reads some of the maps that come, if there is one.
    """

    placements = frozenset({"input", "output", "weight"})
    spatial: ClassVar[int]
    selective: ClassVar[type[Selective] | None] = None

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        return {"weight": UnitAxes(out=0, into=1, groups=module.groups), "bias": UnitAxes(out=0)}

    def unit_dim(self, module: Any) -> int:
        return -1 - self.spatial

    def size(self, module: Any) -> str:
        return f"{module.in_channels}-{module.out_channels} {'x'.join(map(str, module.kernel_size))}"

    def one_to_one(self, module: Any) -> bool:
        return bool(module.groups == module.in_channels == module.out_channels > 1)

    def resizable(self, module: Any) -> bool:
        return module.groups == 1 or self.one_to_one(module)

    def can_sleep(self, module: Any) -> bool:
        return bool(module.groups == 1)

    def reason_not_gated(self, module: Any, placement: GatePlacement) -> str | None:
        if placement == "input" and self.one_to_one(module):
            return "is a depthwise convolution, whose maps are those it reads; gate its outputs instead"
        return None

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        maps = output[self.unit_dim(module)]
        return {"weight": torch.Size(output).numel() / maps}

    def resize(self, module: Any, made: int, read: int) -> None:
        if module.groups > 1:
            module.groups = made
        module.out_channels, module.in_channels = made, read

    def selecting(self, module: Any, select: Tensor) -> nn.Module:
        if self.selective is None:
            return super().selecting(module, select)
        module.__class__ = self.selective
        module.register_buffer("index", select)
        result: nn.Module = module
        return result


class Conv1dKind(ConvolutionKind):
    """``nn.Conv1d``."""

    types = (nn.Conv1d,)
    name = "Conv1d"
    spatial = 1
    selective = SelectiveConv1d


class Conv2dKind(ConvolutionKind):
    """``nn.Conv2d``."""

    types = (nn.Conv2d,)
    name = "Conv2d"
    spatial = 2
    selective = SelectiveConv2d
