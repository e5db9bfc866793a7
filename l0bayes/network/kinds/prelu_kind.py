r"""Rectifiers with a slope for each unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape, Units
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["PReLUKind"]


class PReLUKind(LayerKind):
    """``nn.PReLU``: its outputs are the units it reads. With one slope for all it is like any activation."""

    types = (nn.PReLU,)
    name = "PReLU"
    slabs = False

    def is_layer(self, module: Any) -> bool:
        return bool(module.num_parameters > 1)

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        return {"weight": UnitAxes(out=0)}

    def unit_dim(self, module: Any) -> int:
        return 1

    def size(self, module: Any) -> str:
        return str(module.num_parameters)

    def one_to_one(self, module: Any) -> bool:
        return True

    def can_sleep(self, module: Any) -> bool:
        return True

    def made_units(self, module: Any, read: Tensor, count: int, units: Units) -> Tensor:
        if bool((read < 0).any()):  # slopes of other values stand between those of units
            units.fix(read)
        return read

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        return {}

    def resize(self, module: Any, made: int, read: int) -> None:
        module.num_parameters = made
