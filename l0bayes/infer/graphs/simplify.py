r"""The same numbers from fewer operations.

A captured graph holds what autograd and the distributions of Pyro wrote down: multiplications by one, signs
of signs, constants that are expanded and added up at every step, and each thing as often as it was asked
for. Run operation by operation, a small model's step is the sum of some hundred calls, a network's the sum
of passes over its weights. Here the graph is rewritten, by rules that hold for real numbers, and differs
from the captured one by rounding alone: random draws stay the same, in the same order.

The rewritten graph is compared with the captured one on its first inputs, and is only taken where shape,
layout and values agree: values to within rounding of the result, or of the inputs where the graph enlarges
that.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from l0bayes.infer.graphs.array_graphs import array_function
from l0bayes.infer.graphs.blocks import LONG, has_long_values, run_in_blocks
from l0bayes.infer.graphs.constant_folding import fold_constants
from l0bayes.infer.graphs.contractions import contract
from l0bayes.infer.graphs.direct_calls import call_directly, keep_results_apart, reuse_memory
from l0bayes.infer.graphs.duplicates import merge_duplicates
from l0bayes.infer.graphs.fresh_memory import write_nothing_new
from l0bayes.infer.graphs.fusion import fuse_sums
from l0bayes.infer.graphs.identities import broadcast_late, rewrite_identities
from l0bayes.infer.graphs.kept_memory import keep_memory
from l0bayes.infer.graphs.kept_numbers import keep_numbers
from l0bayes.infer.graphs.node_facts import tensor_of
from l0bayes.infer.graphs.products import order_products, take_numbers_out_of_sums
from l0bayes.infer.graphs.shared_memory import written_nodes
from l0bayes.infer.randomness import private_randomness

__all__ = ["simplified", "simplify"]

_MOST_ROUNDS = 8
# Of the largest entry of a result: what a few hundred roundings in another order can come to.
_ROUNDING = {torch.float16: 2e-2, torch.bfloat16: 1e-1, torch.float32: 1e-4, torch.float64: 1e-10}
_ROUNDINGS = 100
# Operations, and entries an operation on average: rewriting takes half a millisecond an operation.
_LONG, _LARGE = 3000, 20_000


def simplified(captured: GraphModule, inputs: Sequence[Tensor]) -> GraphModule:
    """A cheaper graph that computes the same, or the captured one where there is none.

    Args:
        captured: A graph of tensors to tensors, with the form of each value in ``meta["val"]``.
        inputs: Tensors to compare the two on; they are not changed.
    """
    if _is_slow_by_itself(captured):
        return captured
    try:
        reference = _within_memory(captured)
    except Exception:  # as below
        reference = captured
    for arrays in (True, False):
        found = copy.deepcopy(captured)
        try:
            simplify(found, arrays)
            if _agree(reference, found, inputs):
                return found
        except Exception:  # a graph that no rule was written for is run as it was captured
            continue
    return captured


def _is_slow_by_itself(captured: GraphModule) -> bool:
    """Whether a graph is long, and its time is in large operations that no rule is about."""
    nodes = captured.graph.nodes
    if len(nodes) <= _LONG:
        return False
    sizes = [value.numel() for value in map(tensor_of, nodes) if value is not None]
    return sum(sizes) > _LARGE * len(sizes)


def simplify(module: GraphModule, arrays: bool) -> None:
    """Rewrite a graph.

    Args:
        module: The graph; it is changed.
        arrays: Whether it may be run by NumPy, where it is small.
    """
    write_nothing_new(module)
    written = written_nodes(module)
    _rewrite(module, written)
    if contract(module, written):
        _rewrite(module, written)
    fuse_sums(module, written)
    broadcast_late(module)
    module.graph.eliminate_dead_code()
    keep_results_apart(module)
    in_blocks = run_in_blocks(module, written)
    by_arrays = array_function(module, written) if arrays and not in_blocks else None
    reuse_memory(module, written)
    if by_arrays is None:
        keep_memory(module, written, LONG if in_blocks else math.inf)
        keep_numbers(module)
    call_directly(module)
    module.recompile()
    if by_arrays is not None:
        module.forward = by_arrays


def _rewrite(module: GraphModule, written: set[Node]) -> None:
    for _ in range(_MOST_ROUNDS):
        fold_constants(module, written)
        changed = rewrite_identities(module, written)
        module.graph.eliminate_dead_code()
        changed |= merge_duplicates(module, written)
        changed |= take_numbers_out_of_sums(module, written)
        changed |= order_products(module, written)
        if not changed:
            return


def _within_memory(captured: GraphModule) -> GraphModule:
    """The captured graph as it stands, but for long values, which it takes in blocks."""
    if not has_long_values(captured):
        return captured
    found = copy.deepcopy(captured)
    write_nothing_new(found)
    if not run_in_blocks(found, written_nodes(found), once=True):
        return captured
    found.recompile()
    return found


@torch.no_grad()
def _agree(captured: GraphModule, found: GraphModule, inputs: Sequence[Tensor]) -> bool:
    placeholders = [node for node in captured.graph.nodes if node.op == "placeholder"]
    writes = bool(written_nodes(captured) & set(placeholders))

    def values(graph: GraphModule, given: Sequence[Tensor]) -> list[Tensor]:
        with private_randomness():
            # Not graph(...), which prints what fails.
            return list(graph.forward(*([tensor.clone() for tensor in given] if writes else given)))

    wanted, results = values(captured, inputs), values(found, inputs)
    tolerances = [_rounding_of(one) for one in wanted]
    if all(_close(*three) for three in zip(wanted, results, tolerances, strict=True)):
        return True
    del results  # as long as all gradients together, like the next
    nearly = values(captured, _nearly(inputs))
    tolerances = [a + _enlarged(*two) for a, *two in zip(tolerances, wanted, nearly, strict=True)]
    del nearly
    return all(_close(*three) for three in zip(wanted, values(found, inputs), tolerances, strict=True))


def _nearly(inputs: Sequence[Tensor]) -> list[Tensor]:
    """The inputs, each number the next one that there is."""
    return [
        torch.nextafter(tensor, torch.full_like(tensor, torch.inf)) if tensor.is_floating_point() else tensor
        for tensor in inputs
    ]


def _rounding_of(wanted: Tensor) -> float:
    if not wanted.dtype.is_floating_point or not wanted.numel():
        return 0.0
    largest = max(float(part.nan_to_num(0.0, 0.0, 0.0).abs().max()) for part in _parts(wanted))
    return _ROUNDING[wanted.dtype] * largest


def _enlarged(wanted: Tensor, nearly: Tensor) -> float:
    """What a rounding of the inputs can come to in a result."""
    if not wanted.dtype.is_floating_point or not wanted.numel():
        return 0.0
    parts = zip(_parts(wanted), _parts(nearly), strict=True)
    return _ROUNDINGS * max(float((b - a).nan_to_num(0.0, 0.0, 0.0).abs().max()) for a, b in parts)


def _close(wanted: Tensor, found: Tensor, tolerance: float) -> bool:
    if (wanted.shape, wanted.dtype, wanted.stride()) != (found.shape, found.dtype, found.stride()):
        return False
    if not wanted.dtype.is_floating_point:
        return torch.equal(wanted, found)
    parts = zip(_parts(wanted), _parts(found), strict=True)
    return all(torch.allclose(b, a, rtol=0.0, atol=tolerance, equal_nan=True) for a, b in parts)


def _parts(value: Tensor) -> Sequence[Tensor]:
    """Parts of a long value: to compare two takes several times their memory."""
    return value.view(-1).split(LONG) if value.is_contiguous() else [value]
