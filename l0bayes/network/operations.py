r"""Operations by what they do to the units of an activation; names as in ATen."""

from __future__ import annotations

from typing import Any

import torch
from torch._ops import OpOverload

__all__ = ["POINTWISE", "POOLING", "REDUCTIONS", "ROW_NORMS", "SHAPES", "SHUFFLES", "SOFTMAX", "run_in_parts"]

_LIKE = {"empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"}
_RANDOM = {"bernoulli", "uniform", "normal", "exponential"}

POINTWISE = (
    _LIKE
    | _RANDOM
    | frozenset(
        {
            "log_sigmoid_forward",
            "hardswish",
            "native_dropout",
            "hardsigmoid",
            "mish",
            "softplus",
            "celu",
            "selu",
            "prelu",
            "_prelu_kernel",
        }
    )
)
"""Elementwise operations beside those that torch tags so; with them what is made in the shape of units."""

_VIEWS = {"view", "_unsafe_view", "reshape", "permute", "transpose", "t", "expand", "unsqueeze", "squeeze"}
_PARTS = {
    "slice",
    "select",
    "split",
    "split_with_sizes",
    "unbind",
    "chunk",
    "narrow",
    "unfold",
    "index_select",
}
SHUFFLES = frozenset({"pixel_shuffle", "pixel_unshuffle", "native_channel_shuffle", "channel_shuffle"})
"""Operations that make pixels of maps or change their places."""

SOFTMAX = frozenset({"_softmax", "_safe_softmax", "_log_softmax"})
"""Operations whose every result depends on all entries along a dimension."""

_COPIES = {"clone", "alias", "detach", "contiguous", "_to_copy", "lift_fresh"}
_JOINS = {"cat", "stack", "constant_pad_nd", "repeat", "flip", "roll"}

SHAPES = frozenset(_VIEWS | _PARTS | _COPIES | _JOINS)
"""Operations that move entries about: what they do to values they do to labels."""

_POOLS = {"max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d"}
_POOLS_1D = {"max_pool1d", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d"}
_UPSAMPLING = {"upsample_nearest2d", "upsample_bilinear2d", "upsample_nearest1d"}

POOLING = frozenset(_POOLS | _POOLS_1D | _UPSAMPLING)
"""Operations on the pixels of each map."""

REDUCTIONS = frozenset({"mean", "sum", "amax", "amin", "linalg_vector_norm"})
"""Operations that join entries along dimensions."""
ROW_NORMS = frozenset({"native_layer_norm", "layer_norm", "_fused_rms_norm", "rms_norm"})
"""Operations that normalise along the last dimensions, each row by itself."""


def run_in_parts(mode: Any, func: Any, args: Any, kwargs: Any) -> Any:
    """Run an operation, and where it comes as a whole that torch makes of others, run these.

    A ``forward`` under ``torch.inference_mode`` hands on ``matmul`` or ``conv1d`` as they are.

    Args:
        mode: The dispatch mode, which its parts go through.
        func: The operation.
        args: Its arguments.
        kwargs: Its arguments by name.

    Returns:
        Its result, and whether it was run whole.
    """
    if torch.is_inference_mode_enabled() and isinstance(func, OpOverload):
        with mode:
            out = func.decompose(*args, **kwargs)
        if out is not NotImplemented:
            return out, False
    return func(*args, **kwargs), True
