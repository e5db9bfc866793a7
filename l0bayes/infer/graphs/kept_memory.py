"""Large values are written into memory that the graph keeps from step to step.

A step of a network makes and frees dozens of tensors as large as its weights. The allocator gives such memory
back to the system and takes it again, page by page, which costs several times what a product of two of them
takes. Here each large value that is needed inside of a step alone has a place, shared by values that are
never needed at once. What a step gives to its caller is new memory in every step, as before.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.direct_calls import FUNCTIONS
from l0bayes.infer.graphs.node_facts import aten, tensor_of
from l0bayes.infer.graphs.shared_memory import SharedMemory

__all__ = ["keep_memory"]

# Bytes from which the GNU allocator may ask the system for memory.
_LARGE = 64 * 1024
# Operations that take the memory of their result, by the functions of direct calls.
_WRITERS = {
    aten.mul.Tensor,
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.div.Tensor,
    aten.neg.default,
    aten.exp.default,
    aten.log.default,
    aten.log1p.default,
    aten.sqrt.default,
    aten.tanh.default,
    aten.sigmoid.default,
    aten.clamp.default,
    aten.clamp_min.default,
    aten.where.self,
    aten.addcmul.default,
    aten.mm.default,
    aten.addmm.default,
    aten.bmm.default,
}
_DRAWS: dict[Any, str] = {aten.randn.default: "normal_", aten.rand.default: "uniform_"}


def keep_memory(module: GraphModule, written: set[Node], most: float = math.inf) -> None:
    """Give every large value of a step that does not leave it a place of its own.

    Args:
        module: The graph; it is changed.
        written: Nodes that are left alone.
        most: Entries of a value from which on memory is short, so that none is kept for it.
    """
    nodes = list(module.graph.nodes)
    memory = SharedMemory(nodes)
    last_use: dict[Node, int] = {}
    for index, node in enumerate(nodes):
        for given in node.all_input_nodes:
            last_use[memory.maker(given)] = index
    barred = {memory.maker(node) for node in nodes if node in written}
    barred |= {memory.maker(node) for node in nodes[-1].all_input_nodes}
    free: dict[Any, list[str]] = defaultdict(list)
    ends: dict[int, list[tuple[Any, str]]] = defaultdict(list)
    for index, node in enumerate(nodes):
        # Of memory whose last reader is this operation a result of it must stay clear: freed after it.
        form = _form(node) if node not in barred and node in last_use else None
        if form is not None and math.prod(form[0]) < most:
            name = free[form].pop() if free[form] else _new_place(module, form)
            _write_into(module, node, name)
            ends[last_use[node]].append((form, name))
        for form, name in ends.pop(index, []):
            free[form].append(name)


def _form(node: Node) -> Any:
    """Shape and dtype of a value that can be written into memory that is there; otherwise ``None``."""
    value = tensor_of(node)
    if node.target not in _WRITERS and node.target not in _DRAWS:
        return None
    if value is None or value.device.type != "cpu" or not value.dtype.is_floating_point:
        return None
    if value.numel() * value.element_size() < _LARGE or not value.is_contiguous():
        return None
    return tuple(value.shape), value.dtype


def _new_place(module: GraphModule, form: Any) -> str:
    name = f"_place_{sum(key.startswith('_place_') for key in module.__dict__)}"
    shape, dtype = form
    # Not a buffer, which torch's modules look up at length.
    module.__dict__[name] = torch.empty(shape, dtype=dtype)
    return name


def _write_into(module: GraphModule, node: Node, name: str) -> None:
    graph = module.graph
    with graph.inserting_before(node):
        place = graph.create_node("get_attr", name)
        place.meta["val"] = tensor_of(node)
        if node.target in _DRAWS:
            new = graph.call_method(_DRAWS[node.target], (place,))
        else:
            new = graph.call_function(FUNCTIONS[node.target], node.args, {**node.kwargs, "out": place})
    new.meta.update(node.meta)
    node.replace_all_uses_with(new)
    graph.erase_node(node)
