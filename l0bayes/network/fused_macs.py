r"""Multiply-accumulates of modules that torch may run as one fused operation, by formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

__all__ = ["fused_macs"]


def fused_macs(module: nn.Module) -> Callable[[Any, Any], float] | None:
    """How to count a call of a recurrent layer or of torch's own attention; ``None`` for other modules.

    A module is known by the ``forward`` that it runs, so that a subclass with another one is counted
    operation by operation.

    Args:
        module: Any module.

    Returns:
        A function from the list of what it was called with, and its result, to the number.
    """
    formula = _FORMULAS.get(type(module).forward)
    if formula is None or "forward" in vars(module):
        return None
    return lambda inputs, out: formula(module, inputs, out)


def _recurrent(module: Any, inputs: Any, out: Any) -> float:
    """Every step multiplies once by every entry of every weight matrix, in all layers and directions."""
    x = inputs[0].data if isinstance(inputs[0], PackedSequence) else inputs[0]
    steps = x.numel() / module.input_size
    weights = sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight"))
    return float(steps * weights)


def _attention(module: Any, inputs: Any, out: Any) -> float:
    """Four projections, and two products of every query with every key."""
    size = module.embed_dim
    query, key = inputs[0], next((x for x in inputs[1:2] if isinstance(x, Tensor)), inputs[0])
    length = key.shape[-2 if module.batch_first or key.dim() == 2 else 0]
    queries, keys = query.numel() / size, math.prod(key.shape[:-1])
    added = int(module.bias_k is not None) + int(module.add_zero_attn)
    projections = size * (2 * size * queries + (module.kdim + module.vdim) * keys)
    return float(projections + 2 * size * queries * (length + added))


_FORMULAS: dict[Any, Callable[[Any, Any, Any], float]] = {
    nn.RNN.forward: _recurrent,
    nn.GRU.forward: _recurrent,
    nn.LSTM.forward: _recurrent,
    nn.MultiheadAttention.forward: _attention,
}
