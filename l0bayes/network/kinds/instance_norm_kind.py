r"""Instance normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["InstanceNormKind"]

_DIMS: dict[type[nn.Module], int] = {nn.InstanceNorm1d: -2, nn.InstanceNorm2d: -3, nn.InstanceNorm3d: -4}


class InstanceNormKind(LayerKind):
    """Instance normalisation: every map by its own mean, so that its outputs are the units it reads."""

    types = tuple(_DIMS)
    name = "InstanceNorm"
    slabs = False

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        names = ("weight", "bias", "running_mean", "running_var")
        return dict.fromkeys(names, UnitAxes(out=0))

    def unit_dim(self, module: Any) -> int:
        return _DIMS[type(module)]

    def size(self, module: Any) -> str:
        return str(module.num_features)

    def one_to_one(self, module: Any) -> bool:
        return True

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        return {}

    def resize(self, module: Any, made: int, read: int) -> None:
        module.num_features = made
