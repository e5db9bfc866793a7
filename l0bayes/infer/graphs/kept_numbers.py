"""Numbers and constants in the form in which an operation takes them with the least ado.

Torch makes a tensor of a number at every call, which takes longer than a small operation itself; a module
looks its buffers up at length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.node_facts import aten, tensor_of

__all__ = ["keep_numbers"]

_WITH_TENSORS: dict[Any, Any] = {
    aten.mul.Tensor: aten.mul.Tensor,
    aten.mul.Scalar: aten.mul.Tensor,
    aten.add.Tensor: aten.add.Tensor,
    aten.add.Scalar: aten.add.Tensor,
    aten.sub.Tensor: aten.sub.Tensor,
    aten.sub.Scalar: aten.sub.Tensor,
    aten.div.Tensor: aten.div.Tensor,
    aten.div.Scalar: aten.div.Tensor,
    aten.ge.Scalar: aten.ge.Tensor,
    aten.gt.Scalar: aten.gt.Tensor,
    aten.le.Scalar: aten.le.Tensor,
    aten.lt.Scalar: aten.lt.Tensor,
    aten.eq.Scalar: aten.eq.Tensor,
}
_METHODS = ("mul_", "add_", "sub_", "div_")
# In narrower ones a number is taken with more digits than a tensor holds.
_DTYPES = (torch.float32, torch.float64)


def keep_numbers(module: GraphModule) -> None:
    """Hold numbers as tensors without dimensions, and constants as plain attributes.

    Args:
        module: The graph; it is changed.
    """
    held: dict[tuple[float, torch.dtype, torch.device], Node] = {}
    first = next(node for node in module.graph.nodes if node.op != "placeholder")
    for node in list(module.graph.nodes):
        value = _takes_a_number(node)
        if value is None:
            continue
        key = (float(node.args[1]), value.dtype, value.device)
        if key not in held:
            name = f"_held_{len(held)}"
            constant = torch.full((), key[0], dtype=value.dtype, device=value.device)
            module.__dict__[name] = constant
            with module.graph.inserting_before(first):
                held[key] = module.graph.create_node("get_attr", name)
            held[key].meta["val"] = constant
        node.args = (node.args[0], held[key])
        if node.op == "call_function":
            node.target = _WITH_TENSORS.get(node.target, node.target)
    while module._buffers:
        name, buffer = module._buffers.popitem()
        module.__dict__[name] = buffer


def _takes_a_number(node: Node) -> Tensor | None:
    """The tensor that an operation takes a number with; ``None`` where it does something else."""
    known = node.target in (_WITH_TENSORS if node.op == "call_function" else _METHODS)
    if not known or len(node.args) != 2 or set(node.kwargs) - {"out"}:
        return None
    value = tensor_of(node.args[0])
    number = node.args[1]
    if not isinstance(number, int | float) or isinstance(number, bool):
        return None
    return value if value is not None and value.dtype in _DTYPES else None
