r"""Batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["BatchNormKind"]


class BatchNormKind(LayerKind):
    """Batch normalisation: every unit by its own statistics, so that its outputs are the units it reads."""

    types = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    name = "BatchNorm"
    slabs = False

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        names = ("weight", "bias", "running_mean", "running_var")
        return dict.fromkeys(names, UnitAxes(out=0))

    def unit_dim(self, module: Any) -> int:
        return 1

    def size(self, module: Any) -> str:
        return str(module.num_features)

    def one_to_one(self, module: Any) -> bool:
        return True

    def can_sleep(self, module: Any) -> bool:
        return True

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        return {}

    def resize(self, module: Any, made: int, read: int) -> None:
        module.num_features = made
