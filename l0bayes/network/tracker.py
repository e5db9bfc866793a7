r"""Following the units of a network through one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from l0bayes.network.head_products import unite_rows
from l0bayes.network.kinds import LayerKind
from l0bayes.network.label_rules import follow
from l0bayes.network.mac_tally import MacTally
from l0bayes.network.operations import run_in_parts
from l0bayes.network.structure import tensors_in
from l0bayes.network.unit_labels import UnitLabels, varied_dims
from l0bayes.network.units import NONE, HeadProduct, TracedBlock, TracedLayer, UnitTrace

__all__ = ["Tracker"]

# Operations by which a tensor goes on as it is.
_NO_USE = ("alias", "detach")


class Tracker(TorchDispatchMode):
    """Dispatch mode that carries a companion tensor of labels with every activation.

    Args:
        rows: Number of examples that go through; layers may see them in any dimension.
        longer: The tally of a run of more examples, which shows what is done once a run, however many there
            are; ``None`` where all grows with them.
    """

    def __init__(self, rows: int, longer: MacTally | None = None) -> None:
        super().__init__()
        self.trace = UnitTrace()
        self.units = UnitLabels(self.trace)
        self.ends_of_blocks: dict[int, tuple[Tensor, str]] = {}
        self.passed_by: list[tuple[TracedBlock, Tensor, Tensor]] = []
        self.made_by: dict[int, str] = {}
        self.tally, self.longer = MacTally(rows), longer
        self.products: list[tuple[str, int, HeadProduct]] = []
        self.calls: dict[str, list[tuple[int, dict[str, float]]]] = {}
        self.inside = 0
        self.open_blocks: list[str] = []
        self.own: dict[int, tuple[Tensor, str]] = {}
        self.used_outside: dict[str, str] = {}

    # ---- operations ------------------------------------------------------------------------------

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch's compiler, of seconds to import, is asked to leave each operation alone

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out, whole = run_in_parts(self, func, args, kwargs)
        if whole and not self.inside:
            counted = self.tally.operation(func, args, kwargs, out)
            self.trace.note_blocks(self.tally.owner, self.open_blocks)
            tensors = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
            for x in tensors:
                if id(x) in self.own:
                    self.used_outside.setdefault(self.own[id(x)][1], func._schema.name.removeprefix("aten::"))
            if any(map(self.units.knows, tensors)):
                self.note_use(func._schema.name.removeprefix("aten::").rstrip("_"), tensors)
                product = follow(self.units, func, args, kwargs, tensors, out)
                if product is not None and counted is not None:
                    self.products.append((self.tally.owner, counted, product))
                for x in pytree.tree_leaves(out):
                    self.made_by.pop(id(x), None)  # changed in place
        return out

    def note_use(self, operation: str, tensors: Iterable[Tensor]) -> None:
        """Note what becomes of the outputs of blocks: they are added to something, or read."""
        for x in tensors:
            if id(x) in self.ends_of_blocks and operation not in _NO_USE:
                block = self.trace.blocks[self.ends_of_blocks[id(x)][1]]
                block.is_added |= operation == "add"
                block.is_read |= operation != "add"

    # ---- layers and blocks -----------------------------------------------------------------------

    def around_layer(
        self, name: str, module: nn.Module, kind: LayerKind
    ) -> tuple[Callable[..., None], Callable[..., None]]:
        self.own.update({id(p): (p, name) for p in module.parameters()})

        def before(_: nn.Module, args: Any, kwargs: Any) -> None:
            self.inside += 1

        def after(_: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
            self.inside -= 1
            if not self.inside:
                inputs = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
                self.note_use("layer", inputs)
                self.follow_layer(name, module, kind, inputs, out)

        return before, after

    def follow_layer(
        self, name: str, module: nn.Module, kind: LayerKind, inputs: list[Tensor], out: Any
    ) -> None:
        result = out[0] if isinstance(out, tuple) else out
        word, dim = f"{kind.name} {name!r}", kind.unit_dim(module)
        rows = kind.keeps_rows(module) and unite_rows(self.units, inputs[0], result, (dim,))
        none = torch.full((inputs[0].shape[dim],), NONE)
        read = none if rows else kind.read_units(module, inputs, self.units, word)
        if kind.mixes(module) and not rows:
            for one in inputs:
                if (labels := self.units.compact(one)) is not None:
                    self.units.mix(labels, word)
        layer = self.trace.layers.get(name)
        if layer is None:
            made = kind.made_units(module, read, result.shape[dim], self.units)
            layer = TracedLayer(name, module, kind, read, made)
            layer.shape = tuple(inputs[0].shape)
            layer.reads_data = bool((read < 0).all())
            layer.blocks = frozenset(self.open_blocks)
            self.trace.layers[name] = layer
        else:  # called again: what it reads now is tied to what it read before
            layer.blocks &= frozenset(self.open_blocks)
            self.units.tie(layer.inputs, read)
            self.units.fix(torch.cat([layer.inputs[read < 0], read[layer.inputs < 0]]))
            layer.inputs = torch.where(layer.inputs >= 0, layer.inputs, read)
        if not self.tally.paused:
            self.count(layer, inputs, result, dim)
        if rows:  # what it makes are the units of the rows
            self.units.mix(layer.outputs, f"{word}, which normalises head by head")
        else:
            shape = [1] * result.dim()
            shape[dim] = -1
            self.units.put(result, layer.outputs.reshape(shape))
        self.made_by[id(result)] = name

    def count(self, layer: TracedLayer, inputs: list[Tensor], result: Tensor, dim: int) -> None:
        shapes, made = [tuple(x.shape) for x in inputs], tuple(result.shape)
        uses = layer.kind.uses(layer.module, shapes, made)
        self.tally.layer(layer.name, layer.kind.macs(layer.module, shapes, made))
        self.calls.setdefault(layer.name, []).append((result.numel() // result.shape[dim], uses))

    def share_out(self) -> None:
        """Share what layers did among the examples, but for what is done once a run."""
        if self.longer is not None:
            self.tally.once = self.tally.once_beside(self.longer)
        for name, calls in self.calls.items():
            layer = self.trace.layers[name]
            for rows, (positions, uses) in zip(self.tally.shared_by(name), calls, strict=True):
                layer.positions += positions // rows
                for key, count in uses.items():
                    layer.uses[key] = layer.uses.get(key, 0.0) + count / rows

    def around_block(self, name: str) -> tuple[Callable[..., None], Callable[..., None]]:
        self.trace.blocks[name] = TracedBlock()

        def before(_: nn.Module, args: Any, kwargs: Any) -> None:
            self.open_blocks.append(name)

        def after(_: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
            self.open_blocks.remove(name)
            block = self.trace.blocks[name]
            if isinstance(out, Tensor) and args and isinstance(args[0], Tensor):
                block.shape = tuple(args[0].shape)
                block.keeps_shape = out.shape == args[0].shape
                read, made = self.units.compact(args[0]), self.units.compact(out)
                if block.keeps_shape and made is not None:
                    read = torch.full((1,) * made.dim(), NONE) if read is None else read
                    read, made = torch.broadcast_tensors(read, made)
                    self.passed_by.append((block, read, made))
                    root = self.units.root
                    pairs = zip(read.flatten().tolist(), made.flatten().tolist(), strict=True)
                    block.holds_skip = all(a >= 0 and b >= 0 and root(a) == root(b) for a, b in set(pairs))
                self.ends_of_blocks[id(out)] = (out, name)

        return before, after

    # ---- the end ---------------------------------------------------------------------------------

    def also(self, output: Any) -> None:
        """What the network returns in another run, such as one in training mode."""
        for x in tensors_in(output):
            if (found := self.units.compact(x)) is not None:
                self.trace.ends.update(torch.unique(found[found >= 0]).tolist())
                self.units.mix(found, "the network's output in training mode")

    def finish(self, output: Any) -> UnitTrace:
        """The trace, of what was followed until now.

        Args:
            output: What the network returned.
        """
        self.share_out()
        trace, units, labels = self.trace, self.units, self.units.compact(output)
        self.note_use("output", tensors_in(output))
        for block, read, made in self.passed_by:
            if not block.is_only_added:  # once closed, it hands on its input in place of its output
                units.tie(read, made)
                units.fix(made[read < 0])
                units.fix(read[made < 0])
        for x in tensors_in(output):
            if (found := units.compact(x)) is not None:
                trace.ends.update(torch.unique(found[found >= 0]).tolist())
        if labels is not None:
            dims = [dim - labels.dim() for dim in reversed(varied_dims(labels)) if dim]
            trace.output_dim = dims[0] if dims else -1
            if len(dims) <= 1:
                wide = labels.movedim(trace.output_dim, -1)
                rows = wide.reshape(-1, wide.shape[-1])
                trace.outputs = rows[0].expand(output.shape[trace.output_dim]).clone()
            else:
                units.mix(labels, "the network's output")
        else:
            for x in tensors_in(output):
                if (found := units.compact(x)) is not None:
                    units.mix(found, "the network's output")
        trace.output_layer = self.made_by.get(id(output))
        units.settle()
        roots = units.roots()
        for layer in trace.layers.values():
            layer.inputs, layer.outputs = roots[layer.inputs], roots[layer.outputs]
        if trace.outputs is not None:
            trace.outputs = roots[trace.outputs]
        trace.ends = {int(roots[unit]) for unit in trace.ends}
        computed, used = {NONE}, {NONE}
        for layer in trace.layers.values():
            computed.update(layer.outputs.tolist())
            if not layer.hands_on:
                used.update(layer.inputs.tolist())
        trace.fixed |= computed - used - trace.ends  # for nothing, but they are computed
        trace.fixed = {int(roots[unit]) for unit in trace.fixed}
        trace.mixed = {int(roots[unit]): by for unit, by in reversed(trace.mixed.items())}
        trace.size = len(units.parent)
        for owner, number, product in self.products:
            parts = replace(product, parts=roots[product.parts])
            trace.add_heads(owner, parts, self.tally.macs_of(owner, number))
        return trace
