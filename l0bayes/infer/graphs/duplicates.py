"""What is computed twice is computed once."""

from __future__ import annotations

from typing import Any

from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from l0bayes.infer.graphs.node_facts import constant_of, rewritable

__all__ = ["merge_duplicates"]


def merge_duplicates(module: GraphModule, written: set[Node]) -> bool:
    """Let equal operations on equal arguments share their value; whether any do.

    Args:
        module: The graph; it is changed.
        written: Nodes that are left alone.
    """
    seen: dict[Any, Node] = {}
    changed = False
    for node in list(module.graph.nodes):
        if node.op == "get_attr" and constant_of(module, node) is not None and node not in written:
            key: Any = ("constant", node.target)
        elif node.op == "call_function" and rewritable(node, written):
            key = (node.target, _frozen(node.args), _frozen(node.kwargs))
        else:
            continue
        try:
            first = seen.setdefault(key, node)
        except TypeError:  # an argument that has no hash
            continue
        if first is not node:
            node.replace_all_uses_with(first)
            module.graph.erase_node(node)
            changed = True
    return changed


def _frozen(given: Any) -> Any:
    """Arguments as a key; 1, 1.0 and True are three arguments."""
    if isinstance(given, list | tuple):
        return tuple(map(_frozen, given))
    if isinstance(given, dict):
        return tuple((name, _frozen(value)) for name, value in sorted(given.items()))
    return map_arg(given, lambda node: node) if isinstance(given, Node) else (type(given), given)
