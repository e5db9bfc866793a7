r"""Sums of products as a matrix times a vector: one pass over the matrix, and nothing of its size is written.

.. math::

    \sum_j A_{ij} v_j = (A v)_i, \qquad \sum_i A_{ij} u_i = (A^T u)_j, \qquad
    \sum_{ij} A_{ij} u_i v_j = \sum_i u_i (A v)_i .
"""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.node_facts import aten, rewritable, same_form, tensor_of

__all__ = ["contract"]

# Entries of a matrix below which another call costs more than a pass.
_WORTH_IT = 4096
_DTYPES = (torch.float32, torch.float64)


def contract(module: GraphModule, written: set[Node]) -> bool:
    """Take the formulas above wherever they apply; whether any did.

    Args:
        module: The graph; it is changed.
        written: Nodes that are left alone.
    """
    changed = False
    for node in list(module.graph.nodes):
        if node.target not in (aten.sum.default, aten.sum.dim_IntList) or node.kwargs:
            continue
        product, value = node.args[0], tensor_of(node)
        if value is None or not rewritable(node, written) or not _is_matrix_product(product, written):
            continue
        new = (
            _whole(module, node, product)
            if node.target is aten.sum.default
            else _one_axis(module, node, product)
        )
        if new is None:
            continue
        new.meta.update(node.meta)
        node.replace_all_uses_with(new)
        changed = True
    if changed:
        module.graph.eliminate_dead_code()
    return changed


def _is_matrix_product(node: Any, written: set[Node]) -> bool:
    value = tensor_of(node)
    return (
        value is not None
        and value.dim() == 2
        and value.dtype in _DTYPES
        and value.numel() >= _WORTH_IT
        and node.target is aten.mul.Tensor
        and len(node.users) == 1
        and not node.kwargs
        and rewritable(node, written)
        and all(isinstance(one, Node) and _dtype(one) == value.dtype for one in node.args)
    )


def _dtype(node: Node) -> torch.dtype | None:
    value = tensor_of(node)
    return None if value is None else value.dtype


def _one_axis(module: GraphModule, node: Node, product: Node) -> Node | None:
    dims, value = node.args[1], tensor_of(product)
    if not isinstance(dims, list | tuple) or len(dims) != 1 or not isinstance(dims[0], int):
        return None
    assert value is not None
    axis = dims[0] % 2
    length = value.shape[axis]
    shapes = ((1, length), (length,)) if axis == 1 else ((length, 1),)
    for matrix, vector in (product.args, product.args[::-1]):
        if same_form(matrix, product) and _shape(vector) in shapes:
            return _times_vector(module, node, matrix, vector, axis)
    return None


def _whole(module: GraphModule, node: Node, product: Node) -> Node | None:
    pairs: Any = (product.args, product.args[::-1])
    for matrix, outer in pairs:
        if not same_form(matrix, product) or not _multiplies(outer):
            continue
        factors: Any = (outer.args, outer.args[::-1])
        for column, row in factors:
            rows, columns = _shape(product) or (0, 0)
            if _shape(column) == (rows, 1) and _shape(row) == (1, columns):
                partial = _times_vector(module, node, matrix, row, 1, flat=True)
                with module.graph.inserting_before(node):
                    flat = _viewed(module, column, (rows,))
                    terms = module.graph.call_function(aten.mul.Tensor, (partial, flat))
                    terms.meta["val"] = partial.meta["val"]
                    total: Node = module.graph.call_function(aten.sum.default, (terms,))
                    return total
    return None


def _multiplies(node: Any) -> TypeGuard[Node]:
    return isinstance(node, Node) and node.target is aten.mul.Tensor


def _shape(node: Any) -> tuple[int, ...] | None:
    value = tensor_of(node)
    return None if value is None else tuple(value.shape)


def _viewed(module: GraphModule, node: Any, shape: tuple[int, ...]) -> Node:
    new = module.graph.call_function(aten.reshape.default, (node, list(shape)))
    new.meta["val"] = node.meta["val"].reshape(shape)
    return new


def _times_vector(
    module: GraphModule, before: Node, matrix: Any, vector: Any, axis: int, *, flat: bool = False
) -> Node:
    value: Tensor = matrix.meta["val"]
    with module.graph.inserting_before(before):
        if axis == 0:
            matrix = module.graph.call_function(aten.t.default, (matrix,))
            matrix.meta["val"] = value.t()
        line = _viewed(module, vector, (value.shape[axis],))
        found = module.graph.call_function(aten.mv.default, (matrix, line))
        found.meta["val"] = value.select(axis, 0)
        wanted = _shape(before)
        if flat or wanted is None or _shape(found) == wanted:
            return found
        return _viewed(module, found, wanted)
