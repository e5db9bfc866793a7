"""Operations that write into memory made for them alone, as operations that give a new value."""

from __future__ import annotations

from typing import Any

from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.node_facts import aten, is_view

__all__ = ["write_nothing_new"]

_FUNCTIONAL = {
    aten.logical_and_.default: aten.logical_and.default,
    aten.mul_.Tensor: aten.mul.Tensor,
    aten.add_.Tensor: aten.add.Tensor,
}


def write_nothing_new(module: GraphModule) -> None:
    """Replace writes that only their own result can see.

    Args:
        module: The graph; it is changed.
    """
    for node in list(module.graph.nodes):
        given = node.args[0] if node.op == "call_function" and node.args else None
        if not isinstance(given, Node) or given.op != "call_function" or len(given.users) != 1:
            continue
        new: Any = None
        if node.target is aten.normal_.default and given.target is aten.empty.memory_format:
            if len(node.args) == 1 and not node.kwargs:  # draws of the standard Normal, by the same generator
                options = {name: value for name, value in given.kwargs.items() if name != "memory_format"}
                new = (aten.randn.default, given.args, options)
        elif node.target in _FUNCTIONAL and not is_view(given):
            new = (_FUNCTIONAL[node.target], node.args, dict(node.kwargs))
        if new is None:
            continue
        with module.graph.inserting_before(node):
            replaced = module.graph.call_function(*new)
        replaced.meta.update(node.meta)
        node.replace_all_uses_with(replaced)
        module.graph.erase_node(node)
        if not given.users:
            module.graph.erase_node(given)
