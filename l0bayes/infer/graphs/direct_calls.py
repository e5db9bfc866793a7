"""The last step: operations by the quickest way to call them, in the memory of arguments nobody needs."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.node_facts import aten, is_pointwise, is_view, same_form, tensor_of
from l0bayes.infer.graphs.shared_memory import SharedMemory

__all__ = ["FUNCTIONS", "call_directly", "keep_results_apart", "reuse_memory"]

FUNCTIONS: dict[Any, Any] = {
    aten.mul.Tensor: torch.mul,
    aten.mul.Scalar: torch.mul,
    aten.add.Tensor: torch.add,
    aten.sub.Tensor: torch.sub,
    aten.div.Tensor: torch.div,
    aten.neg.default: torch.neg,
    aten.exp.default: torch.exp,
    aten.log.default: torch.log,
    aten.log1p.default: torch.log1p,
    aten.logit.default: torch.logit,
    aten.sqrt.default: torch.sqrt,
    aten.rsqrt.default: torch.rsqrt,
    aten.reciprocal.default: torch.reciprocal,
    aten.abs.default: torch.abs,
    aten.tanh.default: torch.tanh,
    aten.sigmoid.default: torch.sigmoid,
    aten.relu.default: torch.relu,
    aten.clamp.default: torch.clamp,
    aten.clamp_min.default: torch.clamp_min,
    aten.pow.Tensor_Scalar: torch.pow,
    aten.where.self: torch.where,
    aten.gt.Scalar: torch.gt,
    aten.gt.Tensor: torch.gt,
    aten.ge.Scalar: torch.ge,
    aten.ge.Tensor: torch.ge,
    aten.lt.Scalar: torch.lt,
    aten.lt.Tensor: torch.lt,
    aten.le.Scalar: torch.le,
    aten.le.Tensor: torch.le,
    aten.eq.Scalar: torch.eq,
    aten.eq.Tensor: torch.eq,
    aten.logical_and.default: torch.logical_and,
    aten.sum.default: torch.sum,
    aten.sum.dim_IntList: torch.sum,
    aten.logsumexp.default: torch.logsumexp,
    aten.mm.default: torch.mm,
    aten.addmm.default: torch.addmm,
    aten.bmm.default: torch.bmm,
    aten.mv.default: torch.mv,
    aten.dot.default: torch.dot,
    aten.addcmul.default: torch.addcmul,
    aten.t.default: torch.t,
    aten.transpose.int: torch.transpose,
    aten.unsqueeze.default: torch.unsqueeze,
    aten.squeeze.dim: torch.squeeze,
    aten.select.int: torch.select,
    aten.gather.default: torch.gather,
    aten.index_select.default: torch.index_select,
    aten.lgamma.default: torch.lgamma,
    aten.digamma.default: torch.digamma,
}
"""Torch's own function for an operation."""
_METHODS: dict[Any, str] = {
    aten.expand.default: "expand",
    aten.view.default: "view",
    aten.reshape.default: "reshape",
    aten.permute.default: "permute",
    aten.normal_.default: "normal_",
    aten.logical_and_.default: "logical_and_",
}
_DRAWS: dict[Any, Any] = {aten.rand.default: torch.rand, aten.randn.default: torch.randn}
_IN_PLACE: dict[Any, str] = {
    aten.mul.Tensor: "mul_",
    aten.add.Tensor: "add_",
    aten.sub.Tensor: "sub_",
    aten.div.Tensor: "div_",
    aten.neg.default: "neg_",
    aten.exp.default: "exp_",
    aten.log.default: "log_",
    aten.log1p.default: "log1p_",
    aten.logit.default: "logit_",
    aten.sigmoid.default: "sigmoid_",
    aten.tanh.default: "tanh_",
    aten.sqrt.default: "sqrt_",
    aten.clamp.default: "clamp_",
    aten.addcmul.default: "addcmul_",
    aten.relu.default: "relu_",
}
_COMMUTES = {aten.mul.Tensor, aten.add.Tensor}


def _outputs(module: GraphModule) -> Node:
    found: Node = next(iter(reversed(module.graph.nodes)))
    return found


def keep_results_apart(module: GraphModule) -> None:
    """Copy results that share memory with an input, a constant or another result.

    Args:
        module: The graph; it is changed.
    """
    output = _outputs(module)
    results: Any = output.args[0]
    memory = SharedMemory(module.graph.nodes)
    seen: set[Node] = set()
    kept = []
    for result in results:
        maker = memory.maker(result)
        if maker.op != "call_function" or maker in seen:
            with module.graph.inserting_before(output):
                copy = module.graph.call_function(aten.clone.default, (result,))
            copy.meta.update(result.meta)
            kept.append(copy)
        else:
            kept.append(result)
        seen.add(maker)
    output.args = (tuple(kept),)


def reuse_memory(module: GraphModule, written: set[Node]) -> None:
    """Write into the memory of an argument that is needed for nothing else.

    Args:
        module: The graph; it is changed.
        written: Nodes that are left alone.
    """
    for node in list(module.graph.nodes):
        name = _IN_PLACE.get(node.target)
        if name is None or node in written or not is_pointwise(node):
            continue
        args = list(node.args)
        if not _is_free(args[0], node, written) and node.target in _COMMUTES and not node.kwargs:
            args.reverse()
        if not _is_free(args[0], node, written):
            continue
        with module.graph.inserting_before(node):
            new = module.graph.call_method(name, tuple(args), dict(node.kwargs))
        new.meta.update(node.meta)
        node.replace_all_uses_with(new)
        module.graph.erase_node(node)


def _is_free(given: Any, user: Node, written: set[Node]) -> bool:
    if not isinstance(given, Node) or given in written or len(given.users) != 1:
        return False
    if given.op == "call_method":
        owned = str(given.target).endswith("_")
    else:
        owned = given.op == "call_function" and not is_view(given) and given.target is not operator.getitem
    value = tensor_of(given)
    dense = value is not None and value.is_contiguous()
    return owned and dense and same_form(given, user)


def call_directly(module: GraphModule) -> None:
    """Call operations by torch's functions and methods, which find them in half the time.

    Args:
        module: The graph; it is changed.
    """
    for node in module.graph.nodes:
        if node.op != "call_function":
            continue
        if node.target in _DRAWS:
            # Said or not, memory of a draw is not pinned; saying so is most of the call's time.
            node.target = _DRAWS[node.target]
            node.kwargs = {name: value for name, value in node.kwargs.items() if value not in (None, False)}
        elif node.target in _METHODS:
            node.op, node.target = "call_method", _METHODS[node.target]
        else:
            node.target = FUNCTIONS.get(node.target, node.target)
