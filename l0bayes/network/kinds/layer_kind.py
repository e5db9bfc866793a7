r"""The contract of layer kinds: all that is known of one kind of layer, in one place."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from l0bayes.network.kinds.cost_terms import CostTerms, cost_terms
from l0bayes.network.kinds.head_gates import HeadGates
from l0bayes.network.kinds.recognition import Recognition
from l0bayes.network.kinds.selective import SelectedInput
from l0bayes.network.kinds.unit_axes import Presence, UnitAxes
from l0bayes.network.kinds.written_form import WrittenForm

__all__ = ["LayerKind", "Shape", "Units"]

Shape = tuple[int, ...]


class Units(Protocol):
    """The labels of units while a network is traced: what a kind may do with them."""

    def fresh(self, count: int) -> Tensor:
        """Labels of new units."""
        ...

    def vector(self, x: Tensor, dim: int, by: str) -> Tensor:
        """The label of each feature along a dimension, -1 where it is no unit."""
        ...

    def mix(self, labels: Tensor, by: str) -> None:
        """Other values depend on these units in ways that are not followed."""
        ...

    def tie(self, one: Tensor, other: Tensor) -> None:
        """Units that stand at the same place in both live and die together."""
        ...

    def fix(self, labels: Tensor) -> None:
        """These units cannot be taken out of the tensor that holds them."""
        ...


class LayerKind(Recognition, HeadGates, WrittenForm):
    r"""One kind of layer: how its units are found, gated, counted and taken out.

    A new kind is a subclass and a call of :func:`~l0bayes.network.kinds.register_kind`, in one file anywhere;
    :class:`~l0bayes.testing.layer_kind_suite.LayerKindSuite` tests it. What a kind does not override
    follows from :meth:`axes`. In all methods ``module`` is a module of this kind.

    Attributes:
        slabs: Whether its parameters are slabs; otherwise they are points, trained along.
    """

    slabs: ClassVar[bool] = True

    # ---- units -----------------------------------------------------------------------------------

    @abstractmethod
    def axes(self, module: Any) -> dict[str, UnitAxes]:
        """How parameters and buffers hang on units, by name."""

    @abstractmethod
    def unit_dim(self, module: Any) -> int:
        """The dimension of its inputs and outputs that counts units."""

    @abstractmethod
    def size(self, module: Any) -> str:
        """Its size in a word or two, for tables."""

    def one_to_one(self, module: Any) -> bool:
        """Whether output unit j is made of input unit j alone, so that they are one unit."""
        return False

    def hands_on(self, module: Any) -> bool:
        """Whether its outputs are the units it reads: each its own, or in other numbers and places."""
        return self.one_to_one(module)

    def mixes(self, module: Any) -> bool:
        """Whether every output depends on all inputs, so that a shut input could not be removed.

        A normalisation over units does so. Its outputs keep their number.
        """
        return False

    def keeps_rows(self, module: Any) -> bool:
        """Whether it mixes what stands along its own dimension alone, each row with the same parameters.

        Then it is applied to the features of each head, where it stands between heads and their products.
        """
        return False

    def resizable(self, module: Any) -> bool:
        """Whether units can be taken out of it."""
        return not self.mixes(module)

    def can_sleep(self, module: Any) -> bool:
        """Whether its ``forward`` computes some of its units, given parameters and buffers cut to them."""
        return False

    def reads(self, module: Any) -> bool:
        """Whether its parameters multiply its inputs one by one."""
        return any(axes.into is not None for axes in self.axes(module).values())

    def folds(self, module: Any) -> bool:
        """Whether gates on its inputs may be multiplied into its parameters instead."""
        return self.reads(module) and all(axes.groups == 1 for axes in self.axes(module).values())

    def read_units(self, module: Any, inputs: Sequence[Tensor], units: Units, name: str) -> Tensor:
        """Unit of each input feature, of shape ``(in,)``, -1 where it is none.

        Args:
            module: The module.
            inputs: The tensors that it was called with.
            units: The labels.
            name: What messages call the module.
        """
        return units.vector(inputs[0], self.unit_dim(module), name)

    def made_units(self, module: Any, read: Tensor, count: int, units: Units) -> Tensor:
        """Unit of each output feature, of shape ``(out,)``.

        Args:
            module: The module.
            read: Unit of each input feature.
            count: Number of output features.
            units: The labels.
        """
        one_to_one = self.one_to_one(module)
        if one_to_one and bool((read >= 0).all()):
            return read
        made = units.fresh(count)
        if one_to_one or not self.resizable(module):
            units.fix(made)
            if self.reads(module):
                units.fix(read)
            elif one_to_one:  # gates on the units would not be felt behind it
                units.mix(read, f"a {self.name} of units and other values")
        return made

    # ---- cost ------------------------------------------------------------------------------------

    @abstractmethod
    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        """How often one call multiplies by each entry of a parameter, by name of the parameter.

        Args:
            module: The module.
            inputs: Shapes of the tensors that it was called with.
            output: Shape of its result.
        """

    def cost(self, module: Any, uses: Mapping[str, float], there: Presence) -> tuple[Tensor, Tensor]:
        """Expected parameters and multiply-accumulates, as scalars.

        Args:
            module: The module.
            uses: What :meth:`uses` returned, summed over calls.
            there: Which of its parts are there.
        """
        params = macs = there.made.new_zeros(())
        axes_of = self.axes(module)
        for name, parameter in module.named_parameters(recurse=False):
            axes, own, count = axes_of.get(name, UnitAxes()), there.own.get(name), uses.get(name)
            there_of_it = there.entries(parameter.shape, axes, own)
            params = params + there_of_it
            if count:  # zeros among its entries are multiplied like other numbers
                macs = macs + count * (there_of_it if own is None else there.entries(parameter.shape, axes))
        return params, macs

    def terms(self, module: Any, uses: Mapping[str, float]) -> CostTerms | None:
        """What :meth:`cost` is, as a function of how many units are made and read; ``None`` where it is not.

        Without gates on its single entries or its heads, that is. It is how the cost of many layers is worked
        out at once; a kind with a cost of its own that gives no terms is asked by itself.

        Args:
            module: The module.
            uses: As in :meth:`cost`.
        """
        if type(self).cost is not LayerKind.cost:
            return None
        return cost_terms(module.named_parameters(recurse=False), self.axes(module), uses)

    def macs(self, module: Any, inputs: Sequence[Shape], output: Shape) -> float:
        """Multiply-accumulates of one call.

        Args:
            module: The module.
            inputs: Shapes of the tensors that it was called with.
            output: Shape of its result.
        """
        own = dict(module.named_parameters(recurse=False))
        uses = self.uses(module, inputs, output)
        return float(sum(count * own[name].numel() for name, count in uses.items()))

    # ---- removal ---------------------------------------------------------------------------------

    def used(self, module: Any, made: Tensor) -> Tensor:
        """Which input features have an entry that is not 0, of shape ``(in,)``; all where groups are kept.

        Args:
            module: The module, gates folded in.
            made: Whether each output unit is there.
        """
        total: Tensor | None = None
        for name, axes in self.axes(module).items():
            value = getattr(module, name)
            if value is None or axes.into is None:
                continue
            if axes.groups > 1:
                return made.new_ones(axes.groups * value.shape[axes.into])
            kept: Tensor = value.detach().cpu() != 0
            if axes.out is not None:
                kept = kept.index_select(axes.out, made.nonzero().flatten())
            kept = kept.movedim(axes.into, 0).flatten(1).any(1)
            total = kept if total is None else total | kept
        assert total is not None, f"a {self.name} does not read its inputs one by one"
        return total

    def cut(self, module: Any, made: Tensor, read: Tensor, select: Tensor | None) -> nn.Module:
        """Take units out, in place, and return the module that stands there now.

        Args:
            module: The module.
            made: Output units to keep, ``torch.long``.
            read: Input units to keep.
            select: Where these stand in the input that comes, where that holds more; else ``None``.
        """
        for name, axes in self.axes(module).items():
            value = getattr(module, name)
            if value is None:
                continue
            kept = value.detach()
            for axis, rows in ((axes.out, made), (axes.into, read)):
                if axis is not None and not (axis == axes.into and axes.groups > 1):
                    kept = kept.index_select(axis, rows.to(kept.device))
            if name in module._parameters:
                kept = nn.Parameter(kept, requires_grad=value.requires_grad)
            setattr(module, name, kept)
        self.resize(module, len(made), len(read))
        return module if select is None else self.selecting(module, select)

    def resize(self, module: Any, made: int, read: int) -> None:
        """Write the numbers of units into the module's attributes, its parameters being cut already.

        Args:
            module: The module.
            made: Number of output units.
            read: Number of input units.
        """

    def selecting(self, module: Any, select: Tensor) -> nn.Module:
        """The module, reading some of the features that come.

        Args:
            module: The module, already cut.
            select: The features, ``torch.long``.
        """
        return SelectedInput(module, select, self.unit_dim(module))
