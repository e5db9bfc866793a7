"""What is known of the operations of a captured graph."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

__all__ = [
    "LAYOUTS",
    "SUMS",
    "aten",
    "constant_of",
    "is_pointwise",
    "is_pure",
    "is_view",
    "rewritable",
    "same_form",
    "schema_of",
    "tensor_of",
]

aten: Any = torch.ops.aten

LAYOUTS = {
    aten.view.default,
    aten.reshape.default,
    aten._unsafe_view.default,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.default,
}
"""Operations that lay out anew what is there: the shape of the result says all."""
SUMS = {aten.sum.default, aten.sum.dim_IntList}
"""Sums of entries."""

# Memory that is written afterwards, or whose content is no value.
_UNWRITTEN = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted"}


def tensor_of(node: Any) -> Tensor | None:
    """The tensor without content that stands for a node's value; ``None`` where there is none.

    Args:
        node: A node, or another argument of one.
    """
    value = node.meta.get("val") if isinstance(node, Node) else None
    return value if isinstance(value, Tensor) else None


def constant_of(module: GraphModule, node: Any) -> Tensor | None:
    """The tensor that a node holds in every run.

    Args:
        module: The graph.
        node: A node, or another argument of one.
    """
    if isinstance(node, Node) and node.op == "get_attr":
        value = getattr(module, str(node.target), None)
        return value if isinstance(value, Tensor) else None
    return None


def schema_of(node: Node) -> Any:
    """What torch declares of an operation: its arguments, and what it writes; ``None`` where it does not.

    Args:
        node: A node.
    """
    return getattr(node.target, "_schema", None) if node.op == "call_function" else None


def is_view(node: Node) -> bool:
    """Whether the value shares memory with an argument.

    Args:
        node: A node.
    """
    schema = schema_of(node)
    return schema is not None and any(one.alias_info is not None for one in schema.returns)


def is_pure(node: Node) -> bool:
    """Whether equal arguments give equal values, and nothing is written.

    Args:
        node: A node.
    """
    return node.op == "call_function" and _is_pure_target(node.target)


@cache
def _is_pure_target(target: Any) -> bool:
    schema = getattr(target, "_schema", None)
    if schema is None or schema.is_mutable or torch.Tag.nondeterministic_seeded in target.tags:
        return False
    name = schema.name.removeprefix("aten::")
    return name not in _UNWRITTEN and not name.startswith("prim")


def is_pointwise(node: Node) -> bool:
    """Whether each entry of the value depends on one entry of each argument.

    Args:
        node: A node.
    """
    target: Any = node.target
    return node.op == "call_function" and torch.Tag.pointwise in getattr(target, "tags", ())


def same_form(node: Any, other: Any) -> bool:
    """Whether two values have one shape, dtype and device.

    Args:
        node: A node.
        other: Another.
    """
    ours, theirs = tensor_of(node), tensor_of(other)
    if ours is None or theirs is None:
        return False
    return (ours.shape, ours.dtype, ours.device) == (theirs.shape, theirs.dtype, theirs.device)


def rewritable(node: Node, written: set[Node]) -> bool:
    """Whether an operation may be replaced by another that computes the same.

    Args:
        node: A node.
        written: Nodes whose memory is written, and all that share or read it.
    """
    return node not in written and is_pure(node)
