r"""Layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["LayerNormKind"]


class LayerNormKind(LayerKind):
    """Layer normalisation: a mean over units that would be another one without a unit.

    Its outputs can be gated, for whoever reads them.
    """

    types = (nn.LayerNorm,)
    name = "LayerNorm"
    placements = frozenset({"output"})
    slabs = False

    def mixes(self, module: Any) -> bool:
        return True

    def keeps_rows(self, module: Any) -> bool:
        return len(module.normalized_shape) == 1

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        return dict.fromkeys(("weight", "bias"), UnitAxes(out=-1))

    def unit_dim(self, module: Any) -> int:
        return -1

    def size(self, module: Any) -> str:
        return "x".join(map(str, module.normalized_shape))

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        return {}
