"""What is the same in every run is computed once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from l0bayes.infer.graphs.node_facts import aten, constant_of, rewritable, tensor_of

__all__ = ["fold_constants", "number_of", "uniform_value"]

# Tensors of one value, whatever the content of the tensor that they are to look like.
_FILLED = {
    aten.ones_like.default: 1.0,
    aten.zeros_like.default: 0.0,
    aten.new_ones.default: 1.0,
    aten.new_zeros.default: 0.0,
}


def uniform_value(value: Tensor | None) -> float | None:
    """The one value of all entries; ``None`` where they differ, or are no real numbers.

    Args:
        value: A constant.
    """
    if value is None or value.numel() == 0 or not (value.dtype.is_floating_point):
        return None
    first = value[(0,) * value.dim()]
    one_place = all(
        stride == 0 or size == 1 for stride, size in zip(value.stride(), value.shape, strict=True)
    )
    if not one_place and not bool((value == first).all()):
        return None
    number = float(first)
    return number if torch.isfinite(first) else None


def number_of(module: GraphModule, given: Any) -> float | None:
    """The number that an argument is in every run, given as such or as a tensor without dimensions.

    Args:
        module: The graph.
        given: An argument of one of its nodes.
    """
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    constant = constant_of(module, given)
    return uniform_value(constant) if constant is not None and constant.dim() == 0 else None


def fold_constants(module: GraphModule, written: set[Node]) -> None:
    """Replace operations on constants by their value.

    Args:
        module: The graph; it is changed.
        written: Nodes that are left alone.
    """
    values: dict[Node, Tensor] = {}
    for node in module.graph.nodes:
        held = constant_of(module, node)
        if held is not None and node not in written:
            values[node] = held
        elif node.op == "call_function" and rewritable(node, written):
            found = _value(node, values)
            if found is not None:
                values[node] = found
    for node, value in values.items():
        if node.op == "get_attr" or all(user in values for user in node.users):
            continue
        name = f"_folded_{len(module._buffers)}"
        module.register_buffer(name, value, persistent=False)
        with module.graph.inserting_before(node):
            held_node = module.graph.get_attr(name)
        held_node.meta.update(node.meta)
        node.replace_all_uses_with(held_node)


def _value(node: Node, values: dict[Node, Tensor]) -> Tensor | None:
    shape = tensor_of(node)
    if shape is None:
        return None
    if node.target in _FILLED:
        one = torch.full((), _FILLED[node.target], dtype=shape.dtype, device=shape.device)
        return one.expand(shape.shape)
    if any(given not in values for given in node.all_input_nodes):
        return None
    args, kwargs = map_arg((node.args, node.kwargs), lambda given: values[given])
    target: Any = node.target
    found = target(*args, **kwargs)
    if not isinstance(found, Tensor):
        return None
    number = uniform_value(found)
    if number is not None and found.numel() > 1:  # one number in memory
        return torch.full((), number, dtype=found.dtype, device=found.device).expand(found.shape)
    return found
