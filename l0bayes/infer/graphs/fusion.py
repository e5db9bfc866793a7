"""Sums and products in one operation."""

from __future__ import annotations

from typing import Any

from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.constant_folding import number_of
from l0bayes.infer.graphs.node_facts import aten, rewritable, same_form, tensor_of

__all__ = ["fuse_sums"]


def _only_for(given: Any, user: Node, written: set[Node]) -> bool:
    return (
        isinstance(given, Node)
        and given.op == "call_function"
        and len(given.users) == 1
        and not given.kwargs
        and rewritable(given, written)
    )


def fuse_sums(module: GraphModule, written: set[Node]) -> bool:
    r"""Take :math:`a \pm b c` and :math:`a + c \cdot b` in one operation; whether any were.

    Args:
        module: The graph; it is changed.
        written: Nodes that are left alone.
    """
    changed = False
    for node in list(module.graph.nodes):
        if node.target not in (aten.add.Tensor, aten.sub.Tensor) or node.kwargs:
            continue
        if not rewritable(node, written) or len(node.args) != 2:
            continue
        sign = 1.0 if node.target is aten.add.Tensor else -1.0
        one, other = node.args
        pairs = [(one, other)] + ([(other, one)] if sign > 0 else [])
        for base, product in pairs:
            new = _fused(module, node, base, product, sign, written)
            if new is not None:
                node.replace_all_uses_with(new)
                module.graph.erase_node(node)
                module.graph.erase_node(product)
                changed = True
                break
    return changed


def _fused(module: GraphModule, node: Node, base: Any, product: Any, sign: float, written: set[Node]) -> Any:
    # Broadcasting one into the other would cost what is saved.
    if not isinstance(base, Node) or not same_form(base, node) or not same_form(product, node):
        return None
    value = tensor_of(node)
    if value is None or not value.dtype.is_floating_point or not _only_for(product, node, written):
        return None
    if product.target is not aten.mul.Tensor or len(product.args) != 2:
        return None
    one, other = product.args
    graph = module.graph
    for source, factor in ((one, other), (other, one)):
        number = number_of(module, factor)
        if number is not None and same_form(source, node):
            with graph.inserting_before(node):
                new = graph.call_function(aten.add.Tensor, (base, source), {"alpha": sign * number})
            new.meta.update(node.meta)
            return new
    dtypes = {shape.dtype for shape in map(tensor_of, (one, other)) if shape is not None}
    if not isinstance(one, Node) or not isinstance(other, Node) or dtypes != {value.dtype}:
        return None
    with graph.inserting_before(node):
        new = graph.call_function(
            aten.addcmul.default, (base, one, other), {} if sign > 0 else {"value": sign}
        )
    new.meta.update(node.meta)
    return new
