r"""Units of a network and the layers that make and read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network.kinds import LayerKind
from l0bayes.network.structure import map_tensors, tensors_in

__all__ = [
    "NONE",
    "HeadProduct",
    "OtherModule",
    "TracedBlock",
    "TracedHeads",
    "TracedLayer",
    "UnitTrace",
    "one_row_more",
    "rows_of",
]

NONE = -1
"""Label of an entry that is no unit: data, constants, what an operation has mixed."""


@dataclass
class TracedLayer:
    """A layer as the example went through it.

    Attributes:
        name: Its name in the network.
        module: The layer.
        kind: Its kind.
        inputs: Unit of each input feature, of shape ``(in,)``; -1 where it is none.
        outputs: Unit of each output feature, of shape ``(out,)``.
        positions: Output positions an example, summed over calls: pixels, tokens, 1 for vectors.
        uses: How often an example multiplies by each entry of a parameter, by name of the parameter, summed
            over calls; or whatever else the kind's cost depends on.
        reads_data: Whether its input does not depend on any other layer.
        shape: Shape of the example where it came in.
        batch_dim: Dimension of it that counts examples, -1 where none does.
        blocks: The modules asked about as a whole that every call of it was part of.
    """

    name: str
    module: nn.Module
    kind: LayerKind
    inputs: Tensor
    outputs: Tensor
    positions: int = 0
    uses: dict[str, float] = field(default_factory=dict)
    reads_data: bool = False
    shape: tuple[int, ...] = ()
    batch_dim: int = 0
    blocks: frozenset[str] = frozenset()

    @property
    def hands_on(self) -> bool:
        """Whether its outputs are the units it reads."""
        read, made = set(self.inputs.tolist()), set(self.outputs.tolist())
        return self.kind.hands_on(self.module) and made - {NONE} <= read  # what is no unit passes, too

    @property
    def numel_reading(self) -> int:
        """Number of parameters that multiply its inputs."""
        own = self.module._parameters
        axes = self.kind.axes(self.module).items()
        return sum(p.numel() for name, one in axes if one.into is not None and (p := own[name]) is not None)


@dataclass
class TracedBlock:
    """A module that was asked about as a whole.

    Attributes:
        keeps_shape: Whether its output has its first input's shape.
        holds_skip: Whether its output is its input plus something: the residual connection is inside.
        is_added: Whether its output is added to something behind it.
        is_read: Whether its output is used in another way too, as by a layer.
        shape: Shape of the example where it came in.
        batch_dim: Dimension of it that counts examples, -1 where none does.
    """

    keeps_shape: bool = False
    holds_skip: bool = False
    is_added: bool = False
    is_read: bool = False
    shape: tuple[int, ...] = ()
    batch_dim: int = 0

    @property
    def is_only_added(self) -> bool:
        """Whether 0 can take its place: what reads an output otherwise needs something of its shape."""
        return self.is_added and not self.is_read

    @property
    def is_optional(self) -> bool:
        """Whether a network can do without it: 0 takes its place, or its input passes by."""
        return self.is_only_added or self.keeps_shape


@dataclass(frozen=True)
class HeadProduct:
    """A product of two tensors of units that is done in parts, each of units of its own.

    Attributes:
        parts: Unit of each part, after all units of a part became one class.
        counts: In how many parts each factor comes: heads of queries, and of keys.
        width: Features of the first factor: heads times their width.
    """

    parts: Tensor
    counts: frozenset[int]
    width: int


@dataclass
class TracedHeads:
    """Heads of attention whose queries, keys and values are layers of their own.

    A head is one unit: its queries, keys and values. Where heads of queries share keys and values, these
    heads are one unit together.

    Attributes:
        name: The module that holds the layers that make them.
        owner: The module that runs their products, by which these are counted.
        units: The unit of each head.
        macs: Multiply-accumulates of an example in each head's products.
        counts: Numbers of heads, as the module may hold them: of queries, of keys.
        widths: Numbers of their features.
        modules: The modules that may hold such numbers.
        numbers: Attributes of these modules that shrink as the number of heads does: (module, attribute).
    """

    name: str
    owner: str
    units: Tensor
    macs: Tensor
    counts: set[int]
    widths: set[int]
    modules: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class OtherModule:
    """A module of no kind, which stays as it is.

    Attributes:
        name: Its name in the network; empty for the network itself.
        module: The module.
        reason: Why it is of no kind.
        macs: Multiply-accumulates of one example that it runs itself, outside of layers. What is done once a
            run is among them in full.
        uncounted: Operations that it runs whose multiply-accumulates are not known.
        nearly: Whether its class is of a kind, or descends from one that is.
        recomputed: Names of attributes that are tensors, and neither parameters nor buffers: a weight, for
            one, that a hook computes before each run.
        blocks: The modules asked about as a whole that all it runs was part of.
    """

    name: str
    module: nn.Module
    reason: str
    macs: float = 0.0
    uncounted: tuple[str, ...] = ()
    nearly: bool = False
    recomputed: tuple[str, ...] = ()
    blocks: frozenset[str] = frozenset()


@dataclass
class UnitTrace:
    """What one run showed of a network's units.

    Attributes:
        layers: Layers by name, in the order of their first call.
        others: Modules of no kind that have parameters of their own, or work, by name.
        blocks: The modules asked about.
        fixed: Units that cannot be taken out of the tensor that holds them, although each may be left
            unread: constants of full size are added to them, or a normalisation makes them.
        mixed: Unit to the operation that makes other values depend on it in ways that are not followed.
        outputs: Unit of each feature of the network's output (its last dimension, or its second where
            that is where units vary), or ``None`` where units vary otherwise.
        ends: All units that stand in what the network returns.
        output_dim: That dimension, counted from the right.
        output_layer: The layer whose result is the network's output as it is, if any.
        size: Number of labels.
        blocks_of_others: Modules of no kind to the blocks that all they run was part of.
        heads: Heads of attention of no kind, by the module that holds their layers.
    """

    layers: dict[str, TracedLayer] = field(default_factory=dict)
    others: dict[str, OtherModule] = field(default_factory=dict)
    blocks: dict[str, TracedBlock] = field(default_factory=dict)
    fixed: set[int] = field(default_factory=set)
    mixed: dict[int, str] = field(default_factory=dict)
    outputs: Tensor | None = None
    ends: set[int] = field(default_factory=set)
    output_dim: int = -1
    output_layer: str | None = None
    size: int = 0
    blocks_of_others: dict[str, frozenset[str]] = field(default_factory=dict)
    heads: dict[str, TracedHeads] = field(default_factory=dict)

    def add_heads(self, owner: str, product: HeadProduct, macs: float) -> None:
        """Heads of attention, as one product is made of them.

        Args:
            owner: The module that ran the product.
            product: The product, by classes of units.
            macs: Its multiply-accumulates an example.
        """
        parts = product.parts.tolist()
        each = {unit: macs * parts.count(unit) / len(parts) for unit in dict.fromkeys(parts)}
        made_by = [name for name, layer in self.layers.items() if each.keys() & set(layer.outputs.tolist())]
        holders = tuple(dict.fromkeys(name.rpartition(".")[0] for name in made_by))
        name = holders[0] if holders else owner
        found = self.heads.get(name)
        if found is None:
            modules = tuple(dict.fromkeys((*holders, owner)))
            none = torch.tensor([], dtype=torch.long)
            found = TracedHeads(name, owner, none, none.double(), set(), set(), modules)
            self.heads[name] = found
        before = dict(zip(found.units.tolist(), found.macs.tolist(), strict=True))
        total = {unit: before.get(unit, 0.0) + each.get(unit, 0.0) for unit in {**before, **each}}
        found.units, found.macs = torch.tensor([*total]), torch.tensor([*total.values()], dtype=torch.float64)
        found.counts |= {*product.counts, len(each)}
        found.widths.add(product.width)

    def note_blocks(self, name: str, blocks: Iterable[str]) -> None:
        """A module of no kind runs something, and these blocks run.

        Args:
            name: The module.
            blocks: The blocks.
        """
        now = frozenset(blocks)
        self.blocks_of_others[name] = self.blocks_of_others.get(name, now) & now


def rows_of(example: tuple[Any, ...]) -> int:
    """Number of examples in a network's arguments: the first dimension of the first tensor that has one.

    Args:
        example: The arguments.
    """
    return next((len(x) for x in tensors_in(example) if x.dim()), 1)


def one_row_more(example: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same arguments with their first example once more at the end.

    Args:
        example: The arguments. Tensors of another length than the first one hold no examples, and stay.
    """
    rows = rows_of(example)
    longer: tuple[Any, ...] = map_tensors(
        example, lambda x: torch.cat([x, x[:1]]) if x.dim() and len(x) == rows else x
    )
    return longer
