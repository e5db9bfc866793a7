r"""Transposed convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from l0bayes.network.kinds.convolution_kind import ConvolutionKind
from l0bayes.network.kinds.layer_kind import Shape
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["ConvTranspose1dKind", "ConvTranspose2dKind", "ConvTranspose3dKind", "TransposedConvolutionKind"]


class TransposedConvolutionKind(ConvolutionKind):
    """Transposed convolutions: units are maps, and weights are of shape ``(in, out, *kernel)``.

    In a depthwise one every output map is made of the input map of its number. Other groups are not followed.
    """

    def reason_coupled(self, module: Any) -> str | None:
        if module.groups > 1 and not self.one_to_one(module):
            return f"its {module.groups} groups are not followed, since it is transposed and not depthwise"
        return None

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        weight = UnitAxes(out=0) if self.one_to_one(module) else UnitAxes(out=1, into=0)
        return {"weight": weight, "bias": UnitAxes(out=0)}

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        """Every weight is multiplied once at each position of the input, not of the output."""
        return {"weight": math.prod(inputs[0]) / inputs[0][self.unit_dim(module)]}


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
