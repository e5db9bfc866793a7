"""Operations on long tensors, all of them on one block of entries after the other.

A step with ten million gates makes dozens of tensors as long as that, of which each entry depends on one
entry of the others. Taken block by block the values in between are as long as a block: they stay in the
processor's cache, and memory holds what goes in and what comes out. A loop gives sums, and values that
something else than a loop reads. What a later loop needs of an earlier one it computes again. Draws are made
whole, before all loops, in the order in which they stood: they are the same numbers.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from l0bayes.infer.graphs.block_loop import SPREADS, BlockLoop
from l0bayes.infer.graphs.node_facts import SUMS, aten, constant_of, is_pointwise, is_pure

__all__ = ["LONG", "has_long_values", "run_in_blocks"]

# Entries from which on values are long; and from which on memory is so short that loops may come one after
# another, so that a later one computes again what it needs of an earlier.
LONG, LONGER = 2**19, 2**23
_SPECIAL = {
    aten.log_sigmoid_forward.default,
    aten.log_sigmoid_backward.default,
    aten.sigmoid_backward.default,
    aten.tanh_backward.default,
    aten.threshold_backward.default,
}
_DRAWS = {aten.rand.default, aten.randn.default}
_DTYPES = {torch.float32, torch.float64, torch.bool}


def has_long_values(module: GraphModule) -> bool:
    """Whether a graph computes values for which memory is short.

    Args:
        module: The graph.
    """
    return any(_length(module, node) >= LONG for node in module.graph.nodes if node.op == "call_function")


def run_in_blocks(module: GraphModule, written: set[Node], *, once: bool = False) -> bool:
    """Put long operations of a graph into loops over blocks; whether there were any.

    Args:
        module: The graph; it is changed.
        written: Nodes whose memory is written while the graph runs; where there are any, nothing is changed.
        once: The graph is run no more than once, so that time does not matter.
    """
    if written or _draws_otherwise(module) or not has_long_values(module):
        return False
    plan = _Plan(module)
    rounds = [time for time, loops in plan.loops.items() if loops]
    longest = max(_length(module, node) for node in module.graph.nodes)
    if not rounds or (len(rounds) > 1 and longest < LONGER and not once):
        return False
    _Writer(module, plan).write()
    return True


def _values(module: GraphModule, node: Node) -> list[Tensor]:
    held = constant_of(module, node)
    value = node.meta.get("val") if held is None else held
    return [one for one in (value if isinstance(value, tuple | list) else [value]) if isinstance(one, Tensor)]


def _length(module: GraphModule, node: Node) -> int:
    """Entries of a value, of the longest where an operation gives several."""
    return max((one.numel() for one in _values(module, node)), default=0)


def _draws_otherwise(module: GraphModule) -> bool:
    """Whether there are draws that need a value before, whose order loops could change."""
    seeded = torch.Tag.nondeterministic_seeded
    return any(
        seeded in getattr(node.target, "tags", ()) and node.target not in _DRAWS
        for node in module.graph.nodes
    )


@dataclass(frozen=True)
class _Loop:
    """Targets: what it has to give; steps: all that it computes, in order; inputs: what it reads."""

    length: int
    targets: list[Node]
    steps: list[Node]
    long_inputs: list[Node]
    short_inputs: list[Node]


class _Plan:
    """What is computed in which loop, and when.

    Attributes:
        times: Of each node its round: a node outside of loops comes before the loops of its round.
        loops: The loops of each round.
    """

    def __init__(self, module: GraphModule) -> None:
        self._module = module
        self._looped: set[Node] = set()
        self.times: dict[Node, int] = {}
        for node in module.graph.nodes:
            if self._is_blockwise(node) or self._is_total(node):
                self._looped.add(node)
            self.times[node] = self._time(node)
        given = [node for node in self._looped if self._is_given(node)]
        self._given = set(given)
        groups: dict[tuple[int, int], list[Node]] = defaultdict(list)
        for node in module.graph.nodes:
            if node in self._given:
                length = _length(module, node.args[0] if self._is_total(node) else node)
                groups[self.times[node], length].append(node)
        self.loops: dict[int, list[_Loop]] = defaultdict(list)
        for (time, length), targets in groups.items():
            self.loops[time].append(self._loop(length, targets))

    def outside(self, node: Node) -> bool:
        """Whether a node is computed outside of loops.

        Args:
            node: The node.
        """
        return node not in self._looped or self._is_spread(node)

    def _time(self, node: Node) -> int:
        """The round: one later than a loop that gives something to a node outside, or a sum."""
        after = 0
        for given in node.all_input_nodes:
            crosses = given in self._looped and (node not in self._looped or self._is_total(given))
            after = max(after, self.times[given] + crosses)
        return after

    def _is_given(self, node: Node) -> bool:
        if self._is_spread(node):
            return False
        return self._is_total(node) or any(user not in self._looped for user in node.users)

    def _is_total(self, node: Node) -> bool:
        """Whether a node is the sum of all entries of a long value."""
        if node.target not in SUMS or node.kwargs or not self._can_be_cut(node.args[0]):
            return False
        return [value.dim() for value in _values(self._module, node)] == [0]

    def _is_blockwise(self, node: Node) -> bool:
        """Whether each entry of a long value depends on one entry of every argument."""
        if node.op != "call_function" or _length(self._module, node) < LONG:
            return False
        if node.target is operator.getitem:
            return node.args[0] in self._looped
        if node.target in SPREADS:
            return self._is_spread(node) or self._is_laid_out_anew(node)
        known = node.target in _SPECIAL or is_pointwise(node)
        return known and is_pure(node) and self._fits(node)

    def _is_spread(self, node: Node) -> bool:
        """Whether a long value is one number, again and again: it takes no memory, in a loop or outside."""
        return node.target is aten.expand.default and _length(self._module, node.all_input_nodes[0]) == 1

    def _is_laid_out_anew(self, node: Node) -> bool:
        """Whether a value holds the entries of one that a loop computes, in their order."""
        (source,) = node.all_input_nodes
        same = _length(self._module, source) == _length(self._module, node)
        return same and source in self._looped and not self._is_spread(source)

    def _fits(self, node: Node) -> bool:
        """Whether all values of an operation are of one length, or single numbers, and of one dtype."""
        results = _values(self._module, node)
        length = results[0].numel()
        given = [one for arg in node.all_input_nodes for one in _values(self._module, arg)]
        dtypes = {one.dtype for one in (*results, *given)}
        return (
            all(one.numel() == length and one.is_contiguous() for one in results)
            and dtypes <= _DTYPES
            and len(dtypes - {torch.bool}) <= 1
            and all(one.device.type == "cpu" for one in (*results, *given))
            and all(
                _length(self._module, arg) == 1
                or (_length(self._module, arg) == length and self._can_be_cut(arg))
                for arg in node.all_input_nodes
            )
        )

    def _can_be_cut(self, node: Any) -> bool:
        """Whether a long value is computed by blocks, or lies in memory entry by entry."""
        if not isinstance(node, Node) or _length(self._module, node) < LONG:
            return False
        values = _values(self._module, node)
        return node in self._looped or (len(values) == 1 and values[0].is_contiguous())

    def _loop(self, length: int, targets: list[Node]) -> _Loop:
        steps: set[Node] = set()
        inputs: set[Node] = set()
        left = [*targets]
        while left:
            node = left.pop()
            if node in steps:
                continue
            steps.add(node)
            for given in node.all_input_nodes:
                # Values that an earlier loop has given are read; others are computed again.
                if given in self._looped and not (given in self._given and self._is_read(given, targets)):
                    left.append(given)
                else:
                    inputs.add(given)
        nodes = list(self._module.graph.nodes)
        read = [node for node in nodes if node in inputs]
        return _Loop(
            length,
            targets,
            [node for node in nodes if node in steps],
            [node for node in read if _length(self._module, node) == length],
            [node for node in read if _length(self._module, node) != length],
        )

    def _is_read(self, given: Node, targets: list[Node]) -> bool:
        return self._is_total(given) or self.times[given] < self.times[targets[0]]


class _Writer:
    """Writes a graph anew, with its loops."""

    def __init__(self, module: GraphModule, plan: _Plan) -> None:
        self._module = module
        self._plan = plan
        self._graph = Graph()
        self._new: dict[Node, Node] = {}
        self._loops = 0

    def write(self) -> None:
        """Put the new graph in the place of the old."""
        nodes = list(self._module.graph.nodes)
        outside = [node for node in nodes[:-1] if self._plan.outside(node)]
        times = {self._plan.times[node] for node in nodes}
        for node in outside:
            if node.op == "placeholder":
                self._copy(node)
        for time in sorted(times):
            for node in outside:
                if self._plan.times[node] == time and node.op != "placeholder":
                    self._copy(node)
            for loop in self._plan.loops.get(time, []):
                self._call(loop)
        self._copy(nodes[-1])
        self._module.graph = self._graph
        self._graph.eliminate_dead_code()

    def _copy(self, node: Node) -> None:
        self._new[node] = self._graph.node_copy(node, lambda one: self._new[one])

    def _call(self, loop: _Loop) -> None:
        name = f"_loop_{self._loops}"
        self._loops += 1
        made = BlockLoop(loop.length, loop.targets, loop.steps, loop.long_inputs, loop.short_inputs)
        self._module.add_module(name, made)
        given = tuple(self._new[node] for node in (*loop.long_inputs, *loop.short_inputs))
        call = self._graph.call_module(name, given)
        for index, target in enumerate(loop.targets):
            new = self._graph.call_function(operator.getitem, (call, index))
            new.meta.update(target.meta)
            self._new[target] = new
