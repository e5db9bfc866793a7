r"""Multiply-accumulates of single operations, by torch's own formulas and some that it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

__all__ = ["operation_macs"]


def _attention_on_cpu(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> float:
    return float(sdpa_flop_count(query.shape, key.shape, value.shape) / 2)


# Products that torch.utils.flop_counter has no formula for, by name in ATen.
_PRODUCTS: dict[str, Callable[..., float]] = {
    "mv": lambda matrix, vector, **_: float(matrix.numel()),
    "addmv": lambda start, matrix, vector, **_: float(matrix.numel()),
    "dot": lambda one, other, **_: float(one.numel()),
    "vdot": lambda one, other, **_: float(one.numel()),
    "addbmm": lambda start, one, other, **_: float(one.numel() * other.shape[-1]),
    "_addmm_activation": lambda start, one, other, **_: float(one.numel() * other.shape[-1]),
    "linear": lambda x, weight, *_, **__: float(x.numel() * weight.shape[0]),
    "_int_mm": lambda one, other, **_: float(one.numel() * other.shape[-1]),
    "_scaled_dot_product_flash_attention_for_cpu": _attention_on_cpu,
    "_scaled_dot_product_fused_attention_overrideable": _attention_on_cpu,
}

# Operations with products inside that are not known from the shapes that come and go, by how names begin.
_UNCOUNTED = (
    *("mkldnn_rnn", "_cudnn_rnn", "miopen_rnn", "_thnn_differentiable", "quantized"),
    *(
        "_native_multi_head",
        "_transformer_encoder",
        "_triton",
        "_trilinear",
        "_cdist",
        "_pdist",
        "grid_sampler",
    ),
    *("_fft", "_sparse", "sspaddmm", "_cslt", "_weight_int", "_mixed_dtypes", "_dyn_quant"),
    *("linalg_", "_linalg", "cholesky", "triangular_solve", "lu_", "ormqr", "geqrf", "_fused_rnn"),
)
_SIMPLE_NORMS = ("linalg_vector_norm",)


def operation_macs(func: Any, args: Any, kwargs: Any, out: Any) -> float | None:
    """Multiply-accumulates of one operation: 0 for whatever adds, moves or maps entries, norms among them.

    Args:
        func: The operation, as a dispatch mode gets it.
        args: Its arguments.
        kwargs: Its arguments by name.
        out: Its result.

    Returns:
        The number, or ``None`` where it is not known.
    """
    formula = flop_registry.get(func._overloadpacket)
    if formula is not None:
        return float(formula(*args, **kwargs, out_val=out) / 2)
    space, _, name = func._schema.name.partition("::")
    name = name.rstrip("_")
    if space == "aten" and name in _PRODUCTS:
        return _PRODUCTS[name](*args, **kwargs)
    if space not in ("aten", "prim", "prims", "profiler"):
        return None  # somebody's own operation
    if name.startswith(_UNCOUNTED) and name not in _SIMPLE_NORMS:
        return None
    return 0.0
