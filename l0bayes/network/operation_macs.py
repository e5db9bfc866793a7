r"""Multiply-accumulates of single operations, by torch's own formulas and some that it leaves out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

__all__ = ["operation_macs"]

_Formula = Callable[..., float | None]


def _product(one: Tensor, other: Tensor, **_: Any) -> float:
    """Every entry of the first factor meets every column of the second."""
    return float(one.numel() * other.shape[-1])


def _product_added(start: Tensor, one: Tensor, other: Tensor, **_: Any) -> float:
    return _product(one, other)


def _grouped_product(one: Tensor, other: Tensor, *_: Any, **__: Any) -> float:
    """Where only the first factor is a stack, groups share out the second one's columns."""
    return _product(one[0] if one.dim() > other.dim() else one, other)


def _linear(x: Tensor, weight: Tensor, *_: Any, **__: Any) -> float:
    return float(x.numel() * weight.shape[0])


def _convolution(x: Tensor, weight: Tensor, *_: Any, out: Any, **__: Any) -> float:
    """Every output entry is a sum over the window of its filter."""
    return float(out.numel() * weight[0].numel())


def _transposed_convolution(x: Tensor, weight: Tensor, *_: Any, **__: Any) -> float:
    """Every input entry meets all that its filter makes of it."""
    return float(x.numel() * weight[0].numel())


def _convolution_in_time(x: Tensor, weight: Tensor, *_: Any, out: Any, **__: Any) -> float:
    return float(out.numel() * math.prod(weight.shape[:-1]))


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> float:
    return float(sdpa_flop_count(query.shape, key.shape, value.shape) / 2)


def _trilinear(*args: Any, **_: Any) -> float:
    r"""The terms of :math:`\sum_{ij} x_i A_{kij} y_j`, each a product of three: one an entry of A."""
    factors, expanded = args[:3], args[3:6]
    total = 1
    for dim in range(factors[0].dim() + len(expanded[0])):
        # A factor that is expanded along a dimension has it not; the others say its size.
        for factor, new in zip(factors, expanded, strict=True):
            if dim not in new:
                total *= factor.shape[dim - sum(one < dim for one in new)]
                break
    return float(total)


def _distances(one: Tensor, other: Tensor, p: float = 2.0, *_: Any, out: Any, **__: Any) -> float | None:
    """A square for each coordinate of each pair; sums and maxima of differences multiply nothing."""
    return _by_norm(p, out.numel() * one.shape[-1])


def _distances_inside(x: Tensor, p: float = 2.0, *, out: Any, **_: Any) -> float | None:
    return _by_norm(p, out.numel() * x.shape[-1])


def _by_norm(p: float, squares: int) -> float | None:
    return float(squares) if p == 2.0 else 0.0 if p in (0.0, 1.0, math.inf) else None


def _grid_sample(x: Tensor, grid: Tensor, mode: int = 0, *_: Any, out: Any, **__: Any) -> float | None:
    """Linear interpolation weighs the two neighbours along each dimension; the nearest one is moved."""
    return {0: float(out.numel() * 2 ** grid.shape[-1]), 1: 0.0}.get(mode)


def _affine_grid(theta: Tensor, *_: Any, out: Any, **__: Any) -> float:
    return float(math.prod(out.shape[1:-1]) * theta.numel())


# Products that torch.utils.flop_counter has no formula for, by name in ATen.
_PRODUCTS: Mapping[str, _Formula] = {
    "mv": lambda matrix, vector, **_: float(matrix.numel()),
    "addmv": lambda start, matrix, vector, **_: float(matrix.numel()),
    **dict.fromkeys(("dot", "vdot"), lambda one, other, **_: float(one.numel())),
    **dict.fromkeys(("addbmm", "_addmm_activation"), _product_added),
    "_int_mm": _product,
    "_grouped_mm": _grouped_product,
    **dict.fromkeys(("linear", "mkldnn_linear"), _linear),
    **dict.fromkeys(("_conv_depthwise2d", "conv_depthwise3d", "slow_conv3d_forward"), _convolution),
    **dict.fromkeys(("slow_conv_dilated2d", "slow_conv_dilated3d", "mkldnn_convolution"), _convolution),
    **dict.fromkeys(("cudnn_convolution_relu", "cudnn_convolution_add_relu"), _convolution),
    **dict.fromkeys(("miopen_convolution", "miopen_depthwise_convolution"), _convolution),
    **dict.fromkeys(("slow_conv_transpose2d", "slow_conv_transpose3d"), _transposed_convolution),
    **dict.fromkeys(("cudnn_convolution_transpose", "miopen_convolution_transpose"), _transposed_convolution),
    "conv_tbc": _convolution_in_time,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
    "_scaled_dot_product_attention_math_for_mps": _attention,
    "_trilinear": _trilinear,
    **dict.fromkeys(("_cdist_forward", "_euclidean_dist"), _distances),
    "_pdist_forward": _distances_inside,
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d"), _grid_sample),
    "affine_grid_generator": _affine_grid,
}

# Operations with products inside that are not known from the shapes that come and go, by how names begin.
_UNCOUNTED = (
    *(
        "mkldnn_rnn",
        "_cudnn_rnn",
        "miopen_rnn",
        "_thnn_differentiable",
        "quantized",
        "_fused_rnn",
        "_lstm_mps",
    ),
    *("_native_multi_head", "_transformer_encoder", "_triton", "_cudnn_attention", "_flash_attention"),
    *(
        "_fft",
        "_sparse",
        "sparse_",
        "sspaddmm",
        "hspmm",
        "_cslt",
        "_weight_int",
        "_mixed_dtypes",
        "_dyn_quant",
    ),
    *("linalg_", "_linalg", "cholesky", "triangular_solve", "lu_", "ormqr", "geqrf", "_compute_linear_comb"),
    *("miopen_convolution", "_mps_convolution", "_nnpack", "_foreach_mm", "_scaled_mm_v2", "_scaled_grouped"),
    *("_pdist", "_cdist", "grid_sampler", "_grid_sampler", "cudnn_grid", "cudnn_affine"),
)
_NO_PRODUCTS = (
    *("linalg_vector_norm", "linalg_cross", "_linalg_check_errors"),
    *("_sparse_coo_tensor", "_sparse_compressed_tensor"),
)


def operation_macs(func: Any, args: Any, kwargs: Any, out: Any) -> float | None:
    """Multiply-accumulates of one operation: 0 for whatever adds, moves or maps entries, norms among them.

    A term of a sum of products counts once, also where it has three factors, as in ``nn.Bilinear``.

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
        return _PRODUCTS[name](*args, **{**kwargs, "out": out})
    if space not in ("aten", "prim", "prims", "profiler"):
        return None  # somebody's own operation
    if name.startswith(_UNCOUNTED) and not name.startswith(_NO_PRODUCTS):
        return None
    return 0.0
