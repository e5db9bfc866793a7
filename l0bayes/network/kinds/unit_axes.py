r"""How the parameters of a layer hang on its units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["Presence", "UnitAxes"]


@dataclass(frozen=True)
class UnitAxes:
    """Along which axes of a parameter, or of a buffer, the units of a layer are counted.

    A weight of shape ``(out, in / groups, *kernel)`` has ``UnitAxes(out=0, into=1, groups=groups)``, its bias
    ``UnitAxes(out=0)``.

    Attributes:
        out: Axis of the output units; ``None`` where entries belong to none.
        into: Axis of the input units. Entry j of it multiplies input unit j, and no input is read in any
            other way.
        groups: Number of groups of equal size, where a group of output units reads its own group of input
            units alone. ``into`` then counts the units of one group.
    """

    out: int | None = None
    into: int | None = None
    groups: int = 1

    def rows_of_groups(self, values: Tensor, rows: int) -> Tensor:
        """Values of input units as they stand beside the rows of a grouped weight.

        Args:
            values: Of shape ``(in,)``.
            rows: Number of output units.

        Returns:
            Of shape ``(out, in / groups)``.
        """
        return values.reshape(self.groups, -1).repeat_interleave(rows // self.groups, 0)

    def beside(self, values: Tensor, shape: torch.Size) -> Tensor:
        """Values of input units, shaped to multiply the parameter.

        Args:
            values: Of shape ``(in,)``.
            shape: Shape of the parameter.
        """
        assert self.into is not None
        layout = [1] * len(shape)
        if self.groups == 1:
            layout[self.into] = len(values)
            return values.reshape(layout)
        assert self.out is not None
        layout[self.out], layout[self.into] = shape[self.out], shape[self.into]
        rows = self.rows_of_groups(values, shape[self.out])
        return (rows if self.out < self.into else rows.mT).reshape(layout)

    def along_out(self, values: Tensor, dim: int) -> Tensor:
        """Values of output units, shaped to multiply the parameter.

        Args:
            values: Of shape ``(out,)``.
            dim: Number of the parameter's dimensions.
        """
        assert self.out is not None
        layout = [1] * dim
        layout[self.out] = len(values)
        return values.reshape(layout)


@dataclass(frozen=True)
class Presence:
    """Probabilities that the parts of a layer are there; zeros and ones for a decided network.

    Attributes:
        made: Of each output unit, of shape ``(out,)``.
        read: That each input unit is read, of shape ``(in,)``.
        heads: Of each head; ``None`` where heads have no gates.
        own: Of each entry of a parameter, by gates on single entries: by name of the parameter, of a shape
            that broadcasts to it.
        same: Pairs of output and input units that are one unit, of shape ``(2, pairs)``: it is there for both
            or for neither.
    """

    made: Tensor
    read: Tensor
    heads: Tensor | None = None
    own: Mapping[str, Tensor] = field(default_factory=dict)
    same: Tensor | None = None

    def entries(self, shape: torch.Size, axes: UnitAxes, own: Tensor | None = None) -> Tensor:
        """Expected number of a parameter's entries that are there.

        Args:
            shape: Its shape.
            axes: Its axes.
            own: Probabilities of its single entries; ``None`` where they have no gates.
        """
        units = [axis % len(shape) for axis in (axes.out, axes.into) if axis is not None]
        each = torch.Size(size for axis, size in enumerate(shape) if axis not in units).numel()
        if own is not None:
            own = own.expand(shape).movedim(units, tuple(range(len(units))))
            own = own.flatten(len(units)).sum(-1) if len(units) < len(shape) else own
        if axes.out is None or axes.into is None:
            there = [
                values for values, axis in ((self.made, axes.out), (self.read, axes.into)) if axis is not None
            ]
            gates = there[0] if there else self.made.new_ones(1)
            return each * gates.sum() if own is None else (own * gates).sum()
        if own is None and axes.groups == 1:
            pairs = self.made.sum() * self.read.sum()
            return each * (pairs if self.same is None else pairs + self._shared(self.same))
        made, read = self.made.reshape(axes.groups, -1), self.read.reshape(axes.groups, -1)
        if own is None:
            return each * (made.sum(1) * read.sum(1)).sum()
        total: Tensor = (own.unflatten(0, (axes.groups, -1)) * made[..., None] * read[:, None]).sum()
        return total if self.same is None else total + self._shared(self.same, own)

    def _shared(self, same: Tensor, own: Tensor | None = None) -> Tensor:
        """What pairs of features that are one unit add to the product of their probabilities.

        A unit that is read is there: the pair's probability is that of reading it.
        """
        rows, columns = same.to(self.made.device)
        extra: Tensor = self.read[columns] * (1.0 - self.made[rows])
        return (extra if own is None else extra * own[rows, columns]).sum()
