r"""Products of several factors, multiplied in the cheapest order.

A tree of multiplications, signs and divisions by numbers is :math:`c \prod_i f_i` with a number
:math:`c`. Its factors are multiplied from the smallest tensor to the largest, the number with the first of
them, where that takes fewer entries than the tree as it stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.constant_folding import number_of
from l0bayes.infer.graphs.node_facts import aten, rewritable, tensor_of

__all__ = ["order_products", "take_numbers_out_of_sums"]

# What calling an operation takes, in entries that could be multiplied in the time.
_CALL = 2000


@dataclass(frozen=True)
class _Product:
    number: float
    factors: tuple[Node, ...]
    saved: float  # entries that need not be computed any more


def order_products(module: GraphModule, written: set[Node]) -> bool:
    """Multiply the factors of products from small to large where that is less work; whether any were changed.

    Args:
        module: The graph; it is changed.
        written: Nodes that are left alone.
    """
    changed = False
    for node in reversed(list(module.graph.nodes)):
        # Products inside of a larger one were changed with it.
        if not node.users or not _is_product(module, node, written):
            continue
        if len(node.users) == 1 and _is_product(module, next(iter(node.users)), written):
            continue
        found = _collect(module, node, written, root=True)
        ordered = sorted(found.factors, key=_size)
        if not ordered or _cost_of_order(found.number, ordered) >= found.saved:
            continue
        node.replace_all_uses_with(_multiplied(module, node, found.number, ordered))
        changed = True
    if changed:
        module.graph.eliminate_dead_code()
    return changed | _split_numbers(module, written)


def take_numbers_out_of_sums(module: GraphModule, written: set[Node]) -> bool:
    """Multiply a sum by a number, and not each of its terms; whether any were changed.

    Args:
        module: The graph; it is changed.
        written: Nodes that are left alone.
    """
    changed = False
    for node in list(module.graph.nodes):
        if node.target not in (aten.sum.default, aten.sum.dim_IntList) or node.kwargs:
            continue
        given = node.args[0]
        if not isinstance(given, Node) or len(given.users) != 1 or not rewritable(node, written):
            continue
        found = _collect(module, given, written, root=True)
        numbers = [one for one in found.factors if _is_scalar(one)]
        rest = sorted((one for one in found.factors if one not in numbers), key=_size)
        if not rest or (found.number == 1.0 and not numbers) or not _spans(rest, given):
            continue
        terms = _multiplied(module, node, 1.0, rest)
        with module.graph.inserting_before(node):
            total = module.graph.call_function(node.target, (terms, *node.args[1:]))
        total.meta.update(node.meta)
        node.replace_all_uses_with(_multiplied(module, node, found.number, [total, *numbers]))
        changed = True
    if changed:
        module.graph.eliminate_dead_code()
    return changed


def _spans(factors: list[Node], given: Node) -> bool:
    """Whether the product of factors has the shape of a node."""
    shapes = [value.shape for value in map(tensor_of, factors) if value is not None]
    value = tensor_of(given)
    return value is not None and torch.broadcast_shapes(*shapes) == value.shape


def _split_numbers(module: GraphModule, written: set[Node]) -> bool:
    """Where all that a product with a number is used for are products and sums, leave the number to those."""
    changed = False
    for node in list(module.graph.nodes):
        if len(node.users) < 2 or not _is_product(module, node, written):
            continue
        if not all(_is_product(module, one, written) or one.target is aten.sum.default for one in node.users):
            continue
        found = _collect(module, node, written, root=True)
        if found.number == 1.0 or len(found.factors) < 2:
            continue
        ordered = sorted(found.factors, key=_size)
        product = _multiplied(module, node, 1.0, ordered)
        with module.graph.inserting_before(node):
            new = module.graph.call_function(aten.mul.Tensor, (product, found.number))
        new.meta.update(node.meta)
        node.replace_all_uses_with(new)
        changed = True
    if changed:
        module.graph.eliminate_dead_code()
    return changed


def _size(node: Node) -> int:
    value = tensor_of(node)
    return 1 if value is None else value.numel()


def _is_scalar(node: Node) -> bool:
    value = tensor_of(node)
    return value is not None and value.dim() == 0


def _same_shape(one: Node, other: Node) -> bool:
    ours, theirs = tensor_of(one), tensor_of(other)
    return ours is not None and theirs is not None and ours.shape == theirs.shape


def _is_product(module: GraphModule, node: Node, written: set[Node]) -> bool:
    if node.op != "call_function" or node.kwargs or not rewritable(node, written):
        return False
    value = tensor_of(node)
    if value is None or not value.dtype.is_floating_point:
        return False
    given = [tensor_of(one) for one in node.args if isinstance(one, Node)]
    if any(one is None or one.dtype != value.dtype or one.device != value.device for one in given):
        return False
    if node.target in (aten.mul.Tensor, aten.mul.Scalar, aten.neg.default):
        return True
    if node.target in (aten.div.Tensor, aten.div.Scalar):
        number = number_of(module, node.args[1])
        return number is not None and number != 0.0
    return False


def _collect(module: GraphModule, node: Node, written: set[Node], *, root: bool = False) -> _Product:
    single = root or len(node.users) == 1
    if not _is_product(module, node, written):
        return _Product(1.0, (node,), 0.0)
    args: list[Any] = list(node.args)
    if node.target is aten.neg.default:
        number, rest = -1.0, [args[0]]
    else:
        numbers = [number_of(module, one) for one in args]
        if node.target in (aten.div.Tensor, aten.div.Scalar):
            number, rest = 1.0 / (numbers[1] or 1.0), [args[0]]
        else:
            number = math.prod(one for one in numbers if one is not None)
            rest = [one for one, given in zip(args, numbers, strict=True) if given is None]
    if not single:  # it stays for its other users; numbers and signs of it cost nothing to take out
        tensors = [one for one in rest if _size(one) > 1]
        if len(tensors) == 1 and _same_shape(tensors[0], node):
            # Once all users have done so it is computed no more.
            return _Product(number, tuple(rest), (_size(node) + _CALL) / len(node.users))
        return _Product(1.0, (node,), 0.0)
    factors: tuple[Node, ...] = ()
    saved: float = _size(node) + _CALL
    for one in rest:
        part = _collect(module, one, written)
        number *= part.number
        factors += part.factors
        saved += part.saved
    return _Product(number, factors, saved)


def _cost_of_order(number: float, ordered: list[Node]) -> int:
    shape: Any = tensor_of(ordered[0]).shape  # type: ignore[union-attr]
    cost = math.prod(shape) + _CALL if number != 1.0 else 0
    for one in ordered[1:]:
        shape = torch.broadcast_shapes(shape, tensor_of(one).shape)  # type: ignore[union-attr]
        cost += math.prod(shape) + _CALL
    return cost


def _form_of_product(one: Node, other: Any) -> torch.Tensor:
    value, factor = tensor_of(one), tensor_of(other)
    assert value is not None
    if factor is None:
        return value
    # Of a constant there is the tensor itself: the form is made like the one without content.
    like = value if isinstance(value, FakeTensor) else factor
    return like.new_empty(torch.broadcast_shapes(value.shape, factor.shape))


def _multiplied(module: GraphModule, before: Node, number: float, ordered: list[Node]) -> Node:
    found = ordered[0]
    steps: list[Any] = ([number] if number != 1.0 else []) + ordered[1:]
    for one in steps:
        with module.graph.inserting_before(before):
            new = module.graph.call_function(aten.mul.Tensor, (found, one))
        new.meta["val"] = _form_of_product(found, one)
        found = new
    return found
