r"""Layers that make pixels of maps, and maps of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape, Units
from l0bayes.network.kinds.shuffled_units import maps_made_of_pixels, pixels_made_of_maps, places_changed
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["ChannelShuffleKind", "PixelShuffleKind", "PixelUnshuffleKind", "ShuffleKind"]


class ShuffleKind(LayerKind):
    """Layers without parameters that put entries of maps elsewhere: their outputs are the units they read."""

    slabs = False

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        return {}

    def unit_dim(self, module: Any) -> int:
        return -3

    def hands_on(self, module: Any) -> bool:
        return True

    def can_sleep(self, module: Any) -> bool:
        return True

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        return {}


class PixelShuffleKind(ShuffleKind):
    """``nn.PixelShuffle``: maps that become pixels of one map live and die together."""

    types = (nn.PixelShuffle,)
    name = "PixelShuffle"

    def size(self, module: Any) -> str:
        return f"by {module.upscale_factor}"

    def made_units(self, module: Any, read: Tensor, count: int, units: Units) -> Tensor:
        return pixels_made_of_maps(read, module.upscale_factor, units)


class PixelUnshuffleKind(ShuffleKind):
    """``nn.PixelUnshuffle``: maps made of the pixels of one are one unit."""

    types = (nn.PixelUnshuffle,)
    name = "PixelUnshuffle"

    def size(self, module: Any) -> str:
        return f"by {module.downscale_factor}"

    def made_units(self, module: Any, read: Tensor, count: int, units: Units) -> Tensor:
        return maps_made_of_pixels(read, module.downscale_factor)


class ChannelShuffleKind(ShuffleKind):
    """``nn.ChannelShuffle``: groups keep one size, so that maps of one place in all of them are one unit."""

    types = (nn.ChannelShuffle,)
    name = "ChannelShuffle"

    def unit_dim(self, module: Any) -> int:
        return 1

    def size(self, module: Any) -> str:
        return f"in {module.groups} groups"

    def made_units(self, module: Any, read: Tensor, count: int, units: Units) -> Tensor:
        return places_changed(read, module.groups, units)
