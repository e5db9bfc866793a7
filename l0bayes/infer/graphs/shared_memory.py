"""Which values of a graph lie in the same memory."""

from __future__ import annotations

from collections.abc import Iterable

from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.node_facts import is_view, schema_of

__all__ = ["SharedMemory", "written_nodes"]


class SharedMemory:
    """Of each value of a graph the operation that made its memory.

    Args:
        nodes: The nodes of the graph, in order.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._makers: dict[Node, Node] = {}
        for node in nodes:
            first = node.args[0] if node.args and isinstance(node.args[0], Node) else None
            self._makers[node] = self._makers[first] if first is not None and _shares(node) else node

    def maker(self, node: Node) -> Node:
        """The operation that made the memory of a value: itself, unless it shares that of an argument.

        Args:
            node: A node of the graph.
        """
        return self._makers[node]


def _shares(node: Node) -> bool:
    """Whether a value lies in the memory of the first argument."""
    if node.op == "call_method":  # the ones that write in place
        return True
    # Some operations give a view and do not say so.
    return node.op == "call_function" and (is_view(node) or "unsafe" in str(node.target))


def written_nodes(module: GraphModule) -> set[Node]:
    """Nodes whose memory is written while the graph runs, and all that share or read it.

    Args:
        module: The graph.
    """
    memory, written = SharedMemory(module.graph.nodes), set()
    for node in module.graph.nodes:
        schema = schema_of(node)
        if schema is None or not schema.is_mutable:
            continue
        for given, declared in zip(node.args, schema.arguments, strict=False):
            alias = declared.alias_info
            if isinstance(given, Node) and alias is not None and alias.is_write:
                written.add(memory.maker(given))
    touched = {node for node in module.graph.nodes if memory.maker(node) in written}
    return touched | {user for node in touched for user in node.users}
