"""Shapes that depend on values: a graph would go on with those of its first inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.node_facts import aten, tensor_of

__all__ = ["FreeShapeError", "refuse_free_shapes"]


class FreeShapeError(ValueError):
    """The shape of something in a graph depends on values of its inputs."""


def refuse_free_shapes(module: GraphModule) -> None:
    """Refuse a graph in which the shape of something depends on its inputs.

    How many rows a mask chooses, how many entries are not zero: a number of rows that was read off such a
    shape, such as the scale of a plate, is a constant of the graph.

    Args:
        module: The graph, as it was captured.

    Raises:
        FreeShapeError: If there is such an operation; says which.
    """
    changing: set[Node] = set()
    for node in module.graph.nodes:
        if node.op == "placeholder" or any(given in changing for given in node.all_input_nodes):
            changing.add(node)
        if node.op == "call_function" and node in changing and _is_free(node, changing):
            name = str(node.target).removeprefix("aten.").partition(".")[0]
            raise FreeShapeError(
                f"the shape of the result of {name!r} depends on values, as that of x[mask] does; with "
                "torch.where, poutine.mask or obs_mask= shapes stay as they are"
            )


def _is_free(node: Node, changing: set[Node]) -> bool:
    target: Any = node.target
    if torch.Tag.dynamic_output_shape not in getattr(target, "tags", ()):
        return False
    if target is not aten.index.Tensor:
        return True
    indices: Any = node.args[1]
    masks = [one for one in indices if isinstance(one, Node) and one in changing]
    values = [tensor_of(one) for one in masks]
    return any(value is None or value.dtype in (torch.bool, torch.uint8) for value in values)
