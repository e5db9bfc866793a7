"""A loop over the blocks of long tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils import _pytree as pytree

from l0bayes.infer.graphs.direct_calls import call_directly, reuse_memory
from l0bayes.infer.graphs.kept_memory import keep_memory
from l0bayes.infer.graphs.kept_numbers import keep_numbers
from l0bayes.infer.graphs.node_facts import LAYOUTS, SUMS, aten, tensor_of

__all__ = ["BLOCK", "SPREADS", "BlockLoop"]

# Entries of a block: a dozen values of that length fit into a cache.
BLOCK = 2**14
SPREADS = LAYOUTS | {aten.expand.default}
"""Operations that lay out anew what is there, once or again and again."""


class BlockLoop(nn.Module):
    """Computes values entry by entry, and sums of them, a block at a time.

    Args:
        length: Entries of the long values.
        targets: Operations whose values it gives: sums, or long values.
        steps: All operations of a block, in order.
        long_inputs: Nodes whose values are cut into blocks.
        short_inputs: Nodes whose values are single numbers.
    """

    def __init__(
        self,
        length: int,
        targets: list[Node],
        steps: list[Node],
        long_inputs: list[Node],
        short_inputs: list[Node],
    ) -> None:
        super().__init__()
        self.length = length
        self._longs = len(long_inputs)
        self._forms: list[Any] = [None if one.target in SUMS else tensor_of(one) for one in targets]
        self._forms = [None if one is None else (tuple(one.shape), one.dtype) for one in self._forms]
        parts = (targets, steps, long_inputs, short_inputs)
        self._whole = _block_graph(BLOCK, *parts)
        rest = length % BLOCK
        self._rest = _block_graph(rest, *parts) if rest else None

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        """The values of the targets.

        Args:
            inputs: Long values, each contiguous, and then single numbers.
        """
        longs = [value.view(-1) for value in inputs[: self._longs]]
        shorts = [value.reshape(()) for value in inputs[self._longs :]]
        results: list[Any] = [
            [] if form is None else torch.empty(form[0], dtype=form[1]) for form in self._forms
        ]
        places = [None if isinstance(one, list) else one.view(-1) for one in results]
        for begin in range(0, self.length, BLOCK):
            run = self._whole if begin + BLOCK <= self.length else self._rest
            assert run is not None
            found = run.forward(*(value[begin : begin + BLOCK] for value in longs), *shorts)
            for result, place, part in zip(results, places, found, strict=True):
                if place is None:
                    result.append(part)
                else:
                    place[begin : begin + BLOCK] = part
        return [torch.stack(one).sum() if isinstance(one, list) else one for one in results]


def _block_graph(
    size: int, targets: list[Node], steps: list[Node], long_inputs: list[Node], short_inputs: list[Node]
) -> GraphModule:
    """The operations of one block.

    Args:
        size: Entries of the block.
        targets: Operations whose values are its results.
        steps: All operations, in order.
        long_inputs: Nodes whose block it is given.
        short_inputs: Nodes whose number it is given.
    """
    graph = Graph()
    new: dict[Node, Node] = {}
    for number, node in enumerate((*long_inputs, *short_inputs)):
        new[node] = graph.placeholder(f"given_{number}")
        new[node].meta["val"] = _form(node.meta.get("val"), size) if node in long_inputs else None
    for node in steps:
        (first, *_) = node.all_input_nodes
        if node.target in SPREADS and first not in short_inputs:
            new[node] = new[first]
            continue
        if node.target in SUMS:
            new[node] = graph.call_function(aten.sum.default, (new[first],))
        elif node.target in SPREADS:  # a number, so many times
            new[node] = graph.call_function(aten.expand.default, (new[first], [size]))
        else:
            new[node] = graph.node_copy(node, lambda one: new[one])
        value = node.meta.get("val")
        new[node].meta["val"] = value if node.target in SUMS else _form(value, size)
    graph.output(tuple(new[node] for node in targets))
    module = GraphModule(nn.Module(), graph)
    reuse_memory(module, set())
    keep_memory(module, set())
    keep_numbers(module)
    call_directly(module)
    module.recompile()
    return module


def _form(value: Any, size: int) -> Any:
    """The form of a block of a value, without content."""
    return pytree.tree_map_only(Tensor, lambda one: one.new_empty(size), value)
