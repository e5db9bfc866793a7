r"""Following the units of a network through one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from l0bayes.network.kinds import LayerKind
from l0bayes.network.mac_tally import MacTally
from l0bayes.network.operations import POINTWISE, POOLING, REDUCTIONS, SHAPES
from l0bayes.network.units import NONE, TracedBlock, TracedLayer, UnitTrace

__all__ = ["Tracker"]


class Tracker(TorchDispatchMode):
    """Dispatch mode that carries a companion tensor of labels with every activation.

    Args:
        rows: Number of examples that go through; layers may see them in any dimension.
    """

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = max(1, rows)
        self.trace = UnitTrace()
        self.parent: list[int] = []
        # Tensors are kept, so that an id is not given twice.
        self.labels: dict[int, tuple[Tensor, Tensor]] = {}
        self.ends_of_blocks: dict[int, tuple[Tensor, str]] = {}
        self.passed_by: list[tuple[TracedBlock, Tensor, Tensor]] = []
        self.made_by: dict[int, str] = {}
        self.tally = MacTally()
        self.inside = 0
        self.open_blocks: list[str] = []
        self.own: dict[int, tuple[Tensor, str]] = {}
        self.used_outside: dict[str, str] = {}

    # ---- classes of units ------------------------------------------------------------------------

    def fresh(self, count: int) -> Tensor:
        start = len(self.parent)
        self.parent.extend(range(start, start + count))
        return torch.arange(start, start + count)

    def root(self, unit: int) -> int:
        while self.parent[unit] != unit:
            self.parent[unit] = self.parent[self.parent[unit]]
            unit = self.parent[unit]
        return unit

    def tie(self, one: Tensor, other: Tensor) -> None:
        pairs = torch.stack([one.flatten(), other.flatten()], 1)
        for a, b in torch.unique(pairs[(pairs >= 0).all(1)], dim=0).tolist():
            first, second = sorted((self.root(a), self.root(b)))
            self.parent[second] = first

    def mix(self, labels: Tensor, by: str) -> None:
        for unit in torch.unique(labels[labels >= 0]).tolist():
            self.trace.mixed.setdefault(unit, by)

    def fix(self, labels: Tensor) -> None:
        self.trace.fixed.update(torch.unique(labels[labels >= 0]).tolist())

    # ---- labels of tensors -----------------------------------------------------------------------

    def get(self, x: Any) -> Tensor | None:
        found = self.labels.get(id(x)) if isinstance(x, Tensor) else None
        return None if found is None else found[1]

    def put(self, x: Tensor, labels: Tensor) -> None:
        self.labels[id(x)] = (x, labels)

    def vector(self, x: Tensor, dim: int, by: str) -> Tensor:
        """The labels along one dimension; where they vary along others too, units are mixed."""
        labels, size = self.get(x), x.shape[dim]
        if labels is None:
            return torch.full((size,), NONE)
        rows = labels.movedim(dim, -1).reshape(-1, size)
        if bool((rows == rows[0]).all()):
            return rows[0].clone()
        self.mix(labels, by)
        return torch.full((size,), NONE)

    # ---- operations ------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not self.inside:
            self.tally.operation(func, args, kwargs, out)
            self.trace.note_blocks(self.tally.owner, self.open_blocks)
            tensors = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
            for x in tensors:
                if id(x) in self.own:
                    self.used_outside.setdefault(self.own[id(x)][1], func._schema.name.removeprefix("aten::"))
            if any(id(x) in self.labels for x in tensors):
                self.follow(func, args, kwargs, tensors, out)
        return out

    def follow(self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor], out: Any) -> None:
        name = func._schema.name.removeprefix("aten::").rstrip("_")
        if name == "add":
            for x in tensors:
                if id(x) in self.ends_of_blocks:
                    self.trace.blocks[self.ends_of_blocks[id(x)][1]].is_added = True
        if torch.Tag.pointwise in func.tags or name in POINTWISE:
            self.follow_pointwise(tensors, out)
        elif name in SHAPES:
            self.follow_shape(func, args, kwargs, out)
        elif name in POOLING:
            self.follow_pooling(tensors[0], out, name)
        elif name in REDUCTIONS:
            self.follow_reduction(args, kwargs, out, name)
        else:
            for x in tensors:
                labels = self.get(x)
                if labels is not None:
                    self.mix(labels, name)

    def follow_pointwise(self, tensors: list[Tensor], results: Any) -> None:
        out, *others = pytree.tree_leaves(results)
        known = [labels for x in tensors if (labels := self.get(x)) is not None]
        merged = torch.full(out.shape, NONE)
        for labels in known:
            labels = labels.broadcast_to(out.shape)
            self.tie(merged, labels)
            merged = torch.where(merged >= 0, merged, labels)
        for x in tensors:
            if self.get(x) is None and _varies_beside(x, merged):
                self.fix(merged)
        for one in known:
            self.fix_beside(one.broadcast_to(out.shape), merged)
        for result in (out, *others):  # dropout's mask, for one
            if result.shape == out.shape:
                self.put(result, merged)
        self.made_by.pop(id(out), None)  # changed in place

    def fix_beside(self, one: Tensor, merged: Tensor) -> None:
        """Units that meet entries which are none, in a tensor of units, cannot leave it."""
        if bool((one < 0).any()):
            self.fix(merged[(one < 0) & (merged >= 0)])

    def follow_shape(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        def labels_of(x: Any) -> Any:
            if not isinstance(x, Tensor) or not (x.is_floating_point() or id(x) in self.labels):
                return x
            labels = self.get(x)
            return torch.full(x.shape, NONE) if labels is None else labels.contiguous()

        args, kwargs = pytree.tree_map(labels_of, (args, kwargs))
        if func._schema.name == "aten::constant_pad_nd":
            args = (*args[:2], NONE)
        if func._schema.name == "aten::_to_copy":
            kwargs = {}
        labels = func(*args, **kwargs)
        for x, one in zip(pytree.tree_leaves(out), pytree.tree_leaves(labels), strict=True):
            self.put(x, one)

    def follow_pooling(self, x: Tensor, out: Any, name: str) -> None:
        result = pytree.tree_leaves(out)[0]
        labels = self.vector(x, 1, name)
        self.put(result, labels.reshape(1, -1, *[1] * (result.dim() - 2)).broadcast_to(result.shape))

    def follow_reduction(self, args: Any, kwargs: Any, out: Tensor, name: str) -> None:
        labels = self.get(args[0])
        assert labels is not None
        dims = args[1] if len(args) > 1 and args[1] is not None else list(range(labels.dim()))
        keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        low, high = torch.amin(labels, dims, keep), torch.amax(labels, dims, keep)
        self.mix(
            labels[torch.amin(labels, dims, True).ne(torch.amax(labels, dims, True)).expand_as(labels)], name
        )
        self.put(out, torch.where(low == high, low, NONE))

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
                self.follow_layer(name, module, kind, inputs, out)

        return before, after

    def follow_layer(
        self, name: str, module: nn.Module, kind: LayerKind, inputs: list[Tensor], out: Any
    ) -> None:
        result = out[0] if isinstance(out, tuple) else out
        word, dim = f"{kind.name} {name!r}", kind.unit_dim(module)
        read = kind.read_units(module, inputs, self, word)
        if kind.mixes(module):
            for one in inputs:
                if (labels := self.get(one)) is not None:
                    self.mix(labels, word)
        layer = self.trace.layers.get(name)
        if layer is None:
            made = kind.made_units(module, read, result.shape[dim], self)
            layer = TracedLayer(name, module, kind, read, made)
            layer.shape = tuple(inputs[0].shape)
            layer.reads_data = bool((read < 0).all())
            layer.blocks = frozenset(self.open_blocks)
            self.trace.layers[name] = layer
        else:  # called again: what it reads now is tied to what it read before
            layer.blocks &= frozenset(self.open_blocks)
            self.tie(layer.inputs, read)
            self.fix(torch.cat([layer.inputs[read < 0], read[layer.inputs < 0]]))
            layer.inputs = torch.where(layer.inputs >= 0, layer.inputs, read)
        layer.positions += result.numel() // (result.shape[dim] * self.rows)
        for key, count in kind.uses(module, [tuple(x.shape) for x in inputs], tuple(result.shape)).items():
            layer.uses[key] = layer.uses.get(key, 0.0) + count / self.rows
        shape = [1] * result.dim()
        shape[dim] = -1
        self.put(result, layer.outputs.reshape(shape).broadcast_to(result.shape))
        self.made_by[id(result)] = name

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
                read, made = self.get(args[0]), self.get(out)
                if block.keeps_shape and made is not None:
                    read = torch.full(made.shape, NONE) if read is None else read
                    self.passed_by.append((block, read, made))
                    pairs = zip(read.flatten().tolist(), made.flatten().tolist(), strict=True)
                    block.holds_skip = all(
                        a >= 0 and b >= 0 and self.root(a) == self.root(b) for a, b in set(pairs)
                    )
                self.ends_of_blocks[id(out)] = (out, name)

        return before, after

    # ---- the end ---------------------------------------------------------------------------------

    def finish(self, output: Any) -> UnitTrace:
        trace, labels = self.trace, self.get(output)
        for block, read, made in self.passed_by:
            if not block.is_added:  # once closed, it hands on its input in place of its output
                self.tie(read, made)
                self.fix(made[read < 0])
                self.fix(read[made < 0])
        if labels is not None:
            dims = [d for d in range(-1, -labels.dim(), -1) if bool((labels != labels.narrow(d, 0, 1)).any())]
            trace.output_dim = dims[0] if dims else -1
            if len(dims) <= 1:
                rows = labels.movedim(trace.output_dim, -1).reshape(-1, labels.shape[trace.output_dim])
                trace.outputs = rows[0].clone()
            else:
                self.mix(labels, "the network's output")
        else:
            for x in pytree.tree_leaves(output):
                if (found := self.get(x)) is not None:
                    self.mix(found, "the network's output")
        trace.output_layer = self.made_by.get(id(output))
        roots = torch.tensor([self.root(unit) for unit in range(len(self.parent))] + [NONE])
        for layer in trace.layers.values():
            layer.inputs, layer.outputs = roots[layer.inputs], roots[layer.outputs]
        if trace.outputs is not None:
            trace.outputs = roots[trace.outputs]
        trace.fixed = {int(roots[unit]) for unit in trace.fixed}
        trace.mixed = {int(roots[unit]): by for unit, by in reversed(trace.mixed.items())}
        trace.size = len(self.parent)
        return trace


def _varies_beside(x: Tensor, labels: Tensor) -> bool:
    """Whether an unlabelled operand has a value of its own for every unit."""
    dims = range(1, min(x.dim(), labels.dim()) + 1)
    return any(x.shape[-d] > 1 and bool((labels != labels.narrow(-d, 0, 1)).any()) for d in dims)
