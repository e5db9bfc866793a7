r"""Transposed convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape
from l0bayes.network.kinds.recognition import GatePlacement
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["ConvTranspose1dKind", "ConvTranspose2dKind", "ConvTranspose3dKind", "TransposedConvolutionKind"]


class TransposedConvolutionKind(LayerKind):
    """Transposed convolutions: units are maps, and weights are of shape ``(in, out, *kernel)``.

    In a depthwise one every output map is made of the input map of its number. Other groups are not followed.

    Attributes:
        spatial: Number of spatial dimensions.
    """

    placements = frozenset({"input", "output", "weight"})
    spatial: ClassVar[int]

    def reason_coupled(self, module: Any) -> str | None:
        if module.groups > 1 and not self.one_to_one(module):
            return f"its {module.groups} groups are not followed, since it is transposed and not depthwise"
        return None

    def reason_not_gated(self, module: Any, placement: GatePlacement) -> str | None:
        if placement == "input" and self.one_to_one(module):
            return "is a depthwise convolution, whose maps are those it reads; gate its outputs instead"
        return None

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        weight = UnitAxes(out=0) if self.one_to_one(module) else UnitAxes(out=1, into=0)
        return {"weight": weight, "bias": UnitAxes(out=0)}

    def unit_dim(self, module: Any) -> int:
        return -1 - self.spatial

    def size(self, module: Any) -> str:
        return f"{module.in_channels}-{module.out_channels} {'x'.join(map(str, module.kernel_size))}"

    def one_to_one(self, module: Any) -> bool:
        return bool(module.groups == module.in_channels == module.out_channels > 1)

    def can_sleep(self, module: Any) -> bool:
        return bool(module.groups == 1)

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        """Every weight is multiplied once at each position of the input, not of the output."""
        return {"weight": math.prod(inputs[0]) / inputs[0][self.unit_dim(module)]}

    def resize(self, module: Any, made: int, read: int) -> None:
        if module.groups > 1:
            module.groups = made
        module.out_channels, module.in_channels = made, read


class ConvTranspose1dKind(TransposedConvolutionKind):
    """``nn.ConvTranspose1d``."""

    types = (nn.ConvTranspose1d,)
    name = "ConvTranspose1d"
    spatial = 1


class ConvTranspose2dKind(TransposedConvolutionKind):
    """``nn.ConvTranspose2d``."""

    types = (nn.ConvTranspose2d,)
    name = "ConvTranspose2d"
    spatial = 2


class ConvTranspose3dKind(TransposedConvolutionKind):
    """``nn.ConvTranspose3d``."""

    types = (nn.ConvTranspose3d,)
    name = "ConvTranspose3d"
    spatial = 3
