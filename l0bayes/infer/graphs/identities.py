"""Operations that change nothing, or that a cheaper one replaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.constant_folding import number_of, uniform_value
from l0bayes.infer.graphs.node_facts import (
    aten,
    constant_of,
    is_pointwise,
    rewritable,
    same_form,
    tensor_of,
)

__all__ = ["broadcast_late", "rewrite_identities"]

Replacement = Node | tuple[Any, tuple[Any, ...]]

_COPIES = {
    aten.expand.default,
    aten.view.default,
    aten.reshape.default,
    aten._unsafe_view.default,
    aten.alias.default,
    aten.detach.default,
    aten.clone.default,
    aten.lift_fresh_copy.default,
    aten._to_copy.default,
}
_NEED_A_LAYOUT = {aten.view.default, aten._unsafe_view.default, aten.as_strided.default}
_SUMS = {aten.sum.default, aten.mean.default}


def rewrite_identities(module: GraphModule, written: set[Node]) -> bool:
    """Take the rules of this file wherever they apply; whether any did.

    Args:
        module: The graph; it is changed.
        written: Nodes that are left alone.
    """
    changed = False
    for node in list(module.graph.nodes):
        if node.op != "call_function" or not rewritable(node, written):
            continue
        _narrow(module, node)
        found = _replacement(module, node)
        if found is None:
            continue
        if not isinstance(found, Node):
            target, args = found
            with module.graph.inserting_before(node):
                new = module.graph.call_function(target, args)
            new.meta.update(node.meta)
            found = new
        node.replace_all_uses_with(found)
        module.graph.erase_node(node)
        changed = True
    return changed


def broadcast_late(module: GraphModule) -> None:
    """Broadcast in an operation what it was given expanded.

    Args:
        module: The graph; it is changed.
    """
    for node in list(module.graph.nodes):
        _narrow(module, node)


def _is(node: Any, *targets: Any) -> TypeGuard[Node]:
    return (
        isinstance(node, Node) and node.op == "call_function" and node.target in targets and not node.kwargs
    )


def _narrow(module: GraphModule, node: Node) -> None:
    """Broadcast where an argument was expanded, and take numbers for tensors of one number."""
    shape = tensor_of(node)
    values = [tensor_of(one) for one in node.args]
    # A tensor without dimensions has no say in the dtype of a result.
    dtypes = {value.dtype for value in values if value is not None and value.dtype != torch.bool}
    if not is_pointwise(node) or shape is None or len(dtypes) != 1:
        return
    for index, given in enumerate(node.args):
        rest = [value.shape for i, value in enumerate(values) if i != index and value is not None]
        if _is(given, aten.expand.default):
            source = tensor_of(given.args[0])
            if source is not None and rest and torch.broadcast_shapes(source.shape, *rest) == shape.shape:
                node.update_arg(index, given.args[0])
                values[index] = source
            continue
        constant = constant_of(module, given)
        if constant is None or constant.dim() == 0 or uniform_value(constant) is None:
            continue
        if rest and torch.broadcast_shapes(*rest) == shape.shape:
            number = _scalar_constant(module, node, constant)
            node.update_arg(index, number)
            values[index] = tensor_of(number)


def _scalar_constant(module: GraphModule, before: Node, constant: torch.Tensor) -> Node:
    """A constant of one value as a tensor without dimensions."""
    value = constant[(0,) * constant.dim()].clone()
    name = f"_number_{len(module._buffers)}"
    module.register_buffer(name, value, persistent=False)
    with module.graph.inserting_before(before):
        node: Node = module.graph.get_attr(name)
    node.meta["val"] = value
    return node


def _replacement(module: GraphModule, node: Node) -> Replacement | None:
    for rule in _RULES:
        found = rule(module, node)
        if found is not None:
            return found
    return None


def _unchanged(module: GraphModule, node: Node) -> Replacement | None:
    """A copy or a view of the same form; a sum of one number."""
    if not node.args or not isinstance(node.args[0], Node):
        return None
    given, shape = node.args[0], tensor_of(node.args[0])
    if node.target in _COPIES and same_form(node, given):
        return None if _lays_out_for_views(node, given) else given
    if node.target in _SUMS and shape is not None and shape.dim() == 0 and same_form(node, given):
        return given
    return None


def _lays_out_for_views(node: Node, given: Node) -> bool:
    """Whether a view counts on the layout of a copy, as where heads are repeated."""
    ours, theirs = tensor_of(node), tensor_of(given)
    assert ours is not None
    assert theirs is not None
    return ours.stride() != theirs.stride() and any(user.target in _NEED_A_LAYOUT for user in node.users)


def _neutral(module: GraphModule, node: Node) -> Replacement | None:
    """x·1, 1·x, x/1, x¹, x + 0, 0 + x, x − 0."""
    if len(node.args) != 2 or node.kwargs:
        return None
    one, other = node.args
    products = (aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar, aten.pow.Tensor_Scalar)
    sums = (aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar)
    for targets, unit in ((products, 1.0), (sums, 0.0)):
        if node.target in targets:
            if number_of(module, other) == unit and isinstance(one, Node) and same_form(node, one):
                return one
            if node.target in (aten.mul.Tensor, aten.add.Tensor) and number_of(module, one) == unit:
                return other if isinstance(other, Node) and same_form(node, other) else None
    return None


def _square(module: GraphModule, node: Node) -> Replacement | None:
    if _is(node, aten.pow.Tensor_Scalar) and node.args[1] == 2 and same_form(node, node.args[0]):
        return aten.mul.Tensor, (node.args[0], node.args[0])
    return None


def _signs(module: GraphModule, node: Node) -> Replacement | None:
    """−(−x), x + (−y), (−x) + y, x − (−y)."""
    if _is(node, aten.neg.default) and _is(node.args[0], aten.neg.default):
        return _argument(node.args[0])
    if (
        _is(node, aten.neg.default)
        and _is(node.args[0], aten.sub.Tensor)
        and len(_node(node.args[0]).users) == 1
    ):
        minuend, subtrahend = _node(node.args[0]).args
        if isinstance(minuend, Node) and isinstance(subtrahend, Node):
            return aten.sub.Tensor, (subtrahend, minuend)
    if not _is(node, aten.add.Tensor, aten.sub.Tensor):
        return None
    one, other = node.args
    if _is(other, aten.neg.default) and isinstance(one, Node):
        opposite = aten.sub.Tensor if node.target is aten.add.Tensor else aten.add.Tensor
        return opposite, (one, _argument(other))
    if _is(node, aten.add.Tensor) and _is(one, aten.neg.default) and isinstance(other, Node):
        return aten.sub.Tensor, (other, _argument(one))
    return None


def _logit(module: GraphModule, node: Node) -> Replacement | None:
    """Log u − log(1 − u)."""
    if not _is(node, aten.sub.Tensor):
        return None
    one, other = node.args
    if _is(one, aten.log.default) and _is(other, aten.log1p.default):
        complement = _argument(other)
        if _is(complement, aten.neg.default) and _argument(complement) is _argument(one):
            return aten.logit.default, (_argument(one),)
    return None


def _log_of_exp(module: GraphModule, node: Node) -> Replacement | None:
    """Log eˣ and log (eˣ)², which autograd has already gone through."""
    if not _is(node, aten.log.default):
        return None
    given = _argument(node)
    if _is(given, aten.exp.default):
        return _argument(given)
    if (
        _is(given, aten.mul.Tensor)
        and given.args[0] is given.args[1]
        and _is(given.args[0], aten.exp.default)
    ):
        return aten.mul.Tensor, (_argument(given.args[0]), 2.0)
    return None


def _transposed_twice(module: GraphModule, node: Node) -> Replacement | None:
    if _is(node, aten.t.default) and _is(node.args[0], aten.t.default):
        return _argument(node.args[0])
    return None


def _node(given: Any) -> Node:
    assert isinstance(given, Node)
    return given


def _argument(node: Any) -> Node:
    return _node(node.args[0])


_RULES: tuple[Callable[[GraphModule, Node], Replacement | None], ...] = (
    _unchanged,
    _neutral,
    _square,
    _signs,
    _logit,
    _log_of_exp,
    _transposed_twice,
)
