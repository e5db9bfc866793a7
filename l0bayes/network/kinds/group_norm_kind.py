r"""Group normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape, Units
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["GroupNormKind"]


class GroupNormKind(LayerKind):
    """Group normalisation: the maps of a group share a mean, so that they live and die together.

    Gates on what it reads are therefore one a group. Gates of those who read it may still be one a map: a
    group is taken out once all of its maps are shut. A single group mixes all maps, like a layer
    normalisation.
    """

    types = (nn.GroupNorm,)
    name = "GroupNorm"
    placements = frozenset({"output"})
    slabs = False

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        return dict.fromkeys(("weight", "bias"), UnitAxes(out=0))

    def unit_dim(self, module: Any) -> int:
        return 1

    def size(self, module: Any) -> str:
        return f"{module.num_channels} in {module.num_groups} groups"

    def mixes(self, module: Any) -> bool:
        return bool(module.num_groups == 1)

    def one_to_one(self, module: Any) -> bool:
        return bool(module.num_groups > 1)

    def made_units(self, module: Any, read: Tensor, count: int, units: Units) -> Tensor:
        made = super().made_units(module, read, count, units)
        if made is read:
            groups = read.reshape(module.num_groups, -1)
            units.tie(groups[:, :1].expand_as(groups), groups)
        return made

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        return {}

    def resize(self, module: Any, made: int, read: int) -> None:
        each = module.num_channels // module.num_groups
        module.num_channels, module.num_groups = made, made // each
