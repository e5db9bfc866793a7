"""A linear layer that keeps its weight the other way round, of shape ``(in, out)``."""

from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network import LayerKind, UnitAxes, register_kind


class Projection(nn.Module):
    """``x @ weight + shift``.

    Args:
        read: Number of inputs.
        made: Number of outputs.
    """

    def __init__(self, read: int, made: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(read, made) / read**0.5)
        self.shift = nn.Parameter(torch.zeros(made))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.shift


class ProjectionKind(LayerKind):
    """Units are features of the last dimension."""

    types = (Projection,)
    name = "Projection"
    placements = frozenset({"input", "output", "weight"})

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        """How the parameters hang on the units: from this follow gates, expected cost and removal."""
        return {"weight": UnitAxes(out=1, into=0), "shift": UnitAxes(out=0)}

    def unit_dim(self, module: Any) -> int:
        return -1

    def size(self, module: Any) -> str:
        return "-".join(map(str, module.weight.shape))

    def can_sleep(self, module: Any) -> bool:
        return True

    def uses(self, module: Any, inputs: Any, output: Any) -> dict[str, float]:
        """Each entry of the weight is multiplied once for every row."""
        return {"weight": torch.Size(output[:-1]).numel()}


register_kind(ProjectionKind())
