r"""What becomes of units where maps become pixels of one another, or change places."""

from __future__ import annotations

from torch import Tensor

from l0bayes.network.kinds.layer_kind import Units

__all__ = ["maps_made_of_pixels", "pixels_made_of_maps", "places_changed"]


def pixels_made_of_maps(read: Tensor, factor: int, units: Units) -> Tensor:
    r"""Units of a pixel shuffle: :math:`r^2` maps are the pixels of one, and live and die together.

    Args:
        read: Unit of each map that is read, -1 where it is none.
        factor: How many times finer the result is, r.
        units: The labels.
    """
    groups = read.reshape(-1, factor * factor)
    units.tie(groups[:, :1], groups)
    units.fix(groups[(groups < 0).any(1)])
    return groups.amax(1)


def maps_made_of_pixels(read: Tensor, factor: int) -> Tensor:
    r"""Units of its opposite: :math:`r^2` maps are one unit, that of the map whose pixels they are.

    Args:
        read: Unit of each map that is read.
        factor: How many times coarser the result is, r.
    """
    return read.repeat_interleave(factor * factor)


def places_changed(read: Tensor, groups: int, units: Units) -> Tensor:
    """Units of a channel shuffle, which takes one map of each group in turn.

    Groups have to stay of one size, so that the maps of one place in all groups live and die together.

    Args:
        read: Unit of each map that is read.
        groups: Number of groups.
        units: The labels.
    """
    places = read.reshape(groups, -1)
    units.tie(places[:1], places)
    units.fix(places[:, (places < 0).any(0)])
    return places.mT.flatten()
