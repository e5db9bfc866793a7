"""Small graphs are run by NumPy, whose operations on short arrays take a quarter of the time of torch's.

A regression's step is a hundred and fifty operations on some dozens of numbers: their time is that of being
called. Draws are still made by torch, the same numbers in the same order; an operation that has no form for
arrays is given tensors on the same memory.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.utils import _pytree as pytree

from l0bayes.infer.graphs.array_operations import array_form, by_torch
from l0bayes.infer.graphs.node_facts import constant_of

__all__ = ["array_function"]

_DTYPES = {torch.float32, torch.float64, torch.bool, torch.int64}
# Entries a value, on average and at most: beyond, torch's operations are quicker than NumPy's.
_SHORT, _LONGEST = 500, 32_768
# Of all operations the share that may be torch's, which take twice as long from here.
_MOST_BY_TORCH = 0.15
_INFIX: dict[Any, str] = {
    operator.mul: "*",
    operator.add: "+",
    operator.sub: "-",
    operator.truediv: "/",
    operator.ge: ">=",
    operator.gt: ">",
    operator.le: "<=",
    operator.lt: "<",
}


def array_function(module: GraphModule, written: set[Node]) -> Callable[..., tuple[Tensor, ...]] | None:
    """What a graph computes, by NumPy, from tensors to tensors; ``None`` where torch is quicker.

    Args:
        module: The graph.
        written: Nodes whose memory is written while the graph runs.
    """
    if written or not _is_small(module):
        return None
    writer = _Writer(module)
    for node in module.graph.nodes:
        writer.write(node)
    if writer.by_torch > _MOST_BY_TORCH * writer.operations:
        return None
    # A step may come by infinities on its way to a number, as torch's operations do without a word.
    quiet: Callable[..., tuple[Tensor, ...]] = np.errstate(all="ignore")(writer.function())
    return quiet


def _is_small(module: GraphModule) -> bool:
    sizes = []
    for node in module.graph.nodes:
        constant = constant_of(module, node)
        for value in pytree.tree_leaves(node.meta.get("val") if constant is None else constant):
            if not isinstance(value, Tensor):
                continue
            if value.device.type != "cpu" or value.dtype not in _DTYPES:
                return False
            sizes.append(value.numel())
    return bool(sizes) and max(sizes) <= _LONGEST and sum(sizes) <= _SHORT * len(sizes)


class _Writer:
    """Writes a function, an operation a line.

    Attributes:
        operations: Operations so far.
        by_torch: Those of them that torch runs.
    """

    def __init__(self, module: GraphModule) -> None:
        self._module = module
        self._arguments: list[str] = []
        self._lines: list[str] = []
        self._scope: dict[str, Any] = {}
        self.operations = 0
        self.by_torch = 0

    def function(self) -> Callable[..., tuple[Tensor, ...]]:
        """The function that was written."""
        body = "\n    ".join(self._lines)
        exec(f"def run({', '.join(self._arguments)}):\n    {body}\n", self._scope)
        found: Callable[..., tuple[Tensor, ...]] = self._scope["run"]
        return found

    def write(self, node: Node) -> None:
        """Write what a node does.

        Args:
            node: The node.
        """
        if node.op == "placeholder":
            self._arguments.append(node.name)
            if node.users:
                # Numbers of NumPy's own are quicker than arrays without dimensions.
                self._lines.append(f"{node.name} = {node.name}.numpy()[()]")
        elif node.op == "get_attr":
            held = constant_of(self._module, node)
            assert held is not None
            self._scope[node.name] = held.numpy()[()]
        elif node.op == "output":
            results: Any = node.args[0]
            given = [self._call(_as_tensor, (result,), {}) for result in results]
            self._lines.append(f"return ({', '.join(given)},)")
        elif node.target is operator.getitem:
            self._lines.append(f"{node.name} = {node.args[0]}[{node.args[1]!r}]")
        else:
            function, args, kwargs = array_form(node)
            self.operations += 1
            self.by_torch += function is by_torch
            self._lines.append(f"{node.name} = {self._call(function, args, kwargs)}")

    def _call(self, function: Any, args: Any, kwargs: dict[str, Any]) -> str:
        given = [self._written(one) for one in args]
        if function in _INFIX and not kwargs:
            return f" {_INFIX[function]} ".join(given)
        given += [f"{name}={self._written(one)}" for name, one in kwargs.items()]
        return f"{self._written(function)}({', '.join(given)})"

    def _written(self, given: Any) -> str:
        """An argument as it is written."""
        if isinstance(given, Node):
            return given.name
        if isinstance(given, tuple | list):
            return f"({''.join(self._written(one) + ', ' for one in given)})"
        if given is None or isinstance(given, bool | int | str):
            return repr(given)
        # Functions, laws, numbers of a dtype of their own: by a name of this function alone.
        name = f"_held_{len(self._scope)}"
        self._scope[name] = given
        return name


def _as_tensor(given: Any) -> Tensor:
    return torch.from_numpy(np.asarray(given))
