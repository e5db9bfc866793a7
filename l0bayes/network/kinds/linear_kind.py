r"""Linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape
from l0bayes.network.kinds.selective import Selective
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["LinearKind", "SelectiveLinear"]


class SelectiveLinear(nn.Linear, Selective):
    """A Linear layer that reads the columns ``index`` of its input.

    Args:
        index: Columns to read, ``torch.long``.
        out_features: Number of outputs.
        bias: Whether there is a bias.
    """

    def __init__(self, index: Tensor, out_features: int, bias: bool = True) -> None:
        super().__init__(len(index), out_features, bias)
        self.register_buffer("index", index)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Linear's word
        """Apply the layer to the selected columns."""
        return super().forward(input.index_select(-1, self.index))


class LinearKind(LayerKind):
    """``nn.Linear``: units are features of the last dimension."""

    types = (nn.Linear,)
    name = "Linear"
    placements = frozenset({"input", "output", "weight"})

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        return {"weight": UnitAxes(out=0, into=1), "bias": UnitAxes(out=0)}

    def unit_dim(self, module: Any) -> int:
        return -1

    def size(self, module: Any) -> str:
        return f"{module.in_features}-{module.out_features}"

    def can_sleep(self, module: Any) -> bool:
        return True

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        return {"weight": torch.Size(output[:-1]).numel()}

    def resize(self, module: Any, made: int, read: int) -> None:
        module.out_features, module.in_features = made, read

    def selecting(self, module: Any, select: Tensor) -> nn.Module:
        module.__class__ = SelectiveLinear
        module.register_buffer("index", select)
        result: nn.Module = module
        return result

    def example(self, module: Any, generator: torch.Generator) -> Tensor:
        rows = torch.randn(2, module.in_features, generator=generator)
        return rows.to(next(module.parameters()))
