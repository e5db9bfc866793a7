"""Operations of torch on arrays of NumPy: each takes and gives arrays, or NumPy's numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node
from torch.utils import _pytree as pytree

from l0bayes.infer.graphs.node_facts import LAYOUTS, SUMS, aten, tensor_of

__all__ = ["array_form", "by_torch"]

_Operation = Callable[..., Any]
_FLOATS: dict[Any, Any] = {torch.float32: np.float32, torch.float64: np.float64}


def _sigmoid(x: Any) -> Any:
    return x.dtype.type(1.0) / (x.dtype.type(1.0) + np.exp(-x))


def _clamp(x: Any, low: Any = None, high: Any = None) -> Any:
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _log_sigmoid(x: Any) -> tuple[Any, Any]:
    small = np.exp(-np.abs(x))
    return np.minimum(x, x.dtype.type(0.0)) - np.log1p(small), small


def _log_sigmoid_backward(gradient: Any, x: Any, small: Any) -> Any:
    share = small / (x.dtype.type(1.0) + small)
    return gradient * np.where(x < x.dtype.type(0.0), x.dtype.type(1.0) - share, share)


def _sigmoid_backward(gradient: Any, y: Any) -> Any:
    return gradient * (y - y * y)


def _tanh_backward(gradient: Any, y: Any) -> Any:
    return gradient - gradient * (y * y)


def _threshold_backward(gradient: Any, x: Any, threshold: Any) -> Any:
    return np.where(x <= threshold, gradient.dtype.type(0.0), gradient)


def _addcmul(base: Any, one: Any, other: Any, value: Any = None) -> Any:
    product = one * other
    return base + (product if value is None else value * product)


def _add_times(one: Any, other: Any, alpha: Any) -> Any:
    return one + alpha * other


def _sub_times(one: Any, other: Any, alpha: Any) -> Any:
    return one - alpha * other


def _addmm(base: Any, one: Any, other: Any) -> Any:
    return base + one.dot(other)


def _logit(x: Any) -> Any:
    return np.log(x / (x.dtype.type(1.0) - x))


def _dot(one: Any, other: Any) -> Any:
    return one.dot(other)


_POINTWISE: dict[Any, _Operation] = {
    aten.mul.Tensor: operator.mul,
    aten.mul.Scalar: operator.mul,
    aten.add.Tensor: operator.add,
    aten.add.Scalar: operator.add,
    aten.sub.Tensor: operator.sub,
    aten.sub.Scalar: operator.sub,
    aten.div.Tensor: operator.truediv,
    aten.div.Scalar: operator.truediv,
    aten.neg.default: operator.neg,
    aten.exp.default: np.exp,
    aten.log.default: np.log,
    aten.log1p.default: np.log1p,
    aten.logit.default: _logit,
    aten.sqrt.default: np.sqrt,
    aten.reciprocal.default: np.reciprocal,
    aten.abs.default: np.abs,
    aten.tanh.default: np.tanh,
    aten.sigmoid.default: _sigmoid,
    aten.clamp.default: _clamp,
    aten.clamp_min.default: np.maximum,
    aten.maximum.default: np.maximum,
    aten.minimum.default: np.minimum,
    aten.where.self: np.where,
    aten.gt.Scalar: operator.gt,
    aten.gt.Tensor: operator.gt,
    aten.ge.Scalar: operator.ge,
    aten.ge.Tensor: operator.ge,
    aten.lt.Scalar: operator.lt,
    aten.lt.Tensor: operator.lt,
    aten.le.Scalar: operator.le,
    aten.le.Tensor: operator.le,
    aten.logical_and.default: np.logical_and,
    aten.addcmul.default: _addcmul,
    aten.log_sigmoid_forward.default: _log_sigmoid,
    aten.log_sigmoid_backward.default: _log_sigmoid_backward,
    aten.sigmoid_backward.default: _sigmoid_backward,
    aten.tanh_backward.default: _tanh_backward,
    aten.threshold_backward.default: _threshold_backward,
}
_PRODUCTS: dict[Any, _Operation] = {
    aten.mm.default: _dot,
    aten.mv.default: _dot,
    aten.dot.default: _dot,
    aten.addmm.default: _addmm,
}
# Sums with a factor.
_WITH_ALPHA: dict[Any, _Operation] = {aten.add.Tensor: _add_times, aten.sub.Tensor: _sub_times}
_DRAWS: dict[Any, Any] = {aten.rand.default: torch.rand, aten.randn.default: torch.randn}


def array_form(node: Node) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """A function of NumPy for an operation, with its arguments; :func:`by_torch` where there is none.

    Args:
        node: A node that calls a function.
    """
    target: Any = node.target
    value = tensor_of(node)
    if target in _POINTWISE and _is_of_one_dtype(node):
        function = _WITH_ALPHA.get(target) if "alpha" in node.kwargs else _POINTWISE[target]
        if function is not None:
            return function, *_of_dtype(node)
    if value is not None and target in _DRAWS and value.dtype in _FLOATS:
        return _draw, (_DRAWS[target], tuple(value.shape), value.dtype), {}
    if value is not None and not node.kwargs:
        found = _plain_form(node, value)
        if found is not None:
            return found
    return by_torch, (target, node.args, dict(node.kwargs)), {}


def _plain_form(node: Node, value: Tensor) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
    """The form of an operation on one or two arrays that is told by the shape of its value."""
    target: Any = node.target
    if target in _PRODUCTS:
        return _PRODUCTS[target], node.args, {}
    if target in SUMS and _dimensions(node.args[0]) > 0:
        return np.add.reduce, (node.args[0],), _axes(node)
    if target in LAYOUTS:
        return _laid_out, (node.args[0], tuple(value.shape)), {}
    if target in (aten.t.default, aten.transpose.int) and value.dim() == 2:
        return np.transpose, (node.args[0],), {}
    if target is aten.expand.default:
        return _expanded, (node.args[0], tuple(value.shape)), {}
    if target is aten.clone.default:
        return np.array, (node.args[0],), {}
    return None


def _dimensions(given: Any) -> int:
    value = tensor_of(given)
    return -1 if value is None else value.dim()


def _is_of_one_dtype(node: Node) -> bool:
    """Whether all tensors among the arguments are of one dtype of real numbers, but for conditions."""
    values = [value for value in map(tensor_of, node.args) if value is not None]
    dtypes = {value.dtype for value in values if value.dtype is not torch.bool}
    of_numbers = len(dtypes) == 1 and dtypes <= set(_FLOATS)
    return of_numbers or (not dtypes and node.target is aten.logical_and.default)


def _of_dtype(node: Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with their numbers in the dtype of the arrays, which spares NumPy a search for it."""
    values = [value for value in map(tensor_of, node.args) if value is not None]
    kinds = [_FLOATS[value.dtype] for value in values if value.dtype in _FLOATS]
    arrays = any(value.dim() for value in values)

    def held(given: Any) -> Any:
        if not isinstance(given, int | float) or isinstance(given, bool) or not kinds:
            return given
        # Arrays take an array without dimensions with less ado than a number, and numbers a number.
        return np.array(given, dtype=kinds[0]) if arrays else kinds[0](given)

    return tuple(held(one) for one in node.args), {name: held(one) for name, one in node.kwargs.items()}


def _axes(node: Node) -> dict[str, Any]:
    axes: Any = node.args[1] if len(node.args) > 1 else None
    keep = len(node.args) > 2 and bool(node.args[2])
    return {"axis": tuple(axes) if axes else None, **({"keepdims": True} if keep else {})}


def _laid_out(given: Any, shape: tuple[int, ...]) -> Any:
    return given.reshape(shape)[()]


def _expanded(given: Any, shape: tuple[int, ...]) -> Any:
    # A tenth of the time of numpy.broadcast_to.
    whole = np.empty(shape, given.dtype)
    whole[...] = given
    return whole


def _draw(law: _Operation, shape: tuple[int, ...], dtype: torch.dtype) -> Any:
    return law(shape, dtype=dtype).numpy()[()]


def by_torch(target: _Operation, args: Any, kwargs: Any) -> Any:
    """Run an operation of torch on arrays.

    Args:
        target: The operation.
        args: Its arguments.
        kwargs: Those by name.
    """
    args, kwargs = pytree.tree_map(_to_torch, (args, kwargs))
    return pytree.tree_map(_from_torch, target(*args, **kwargs))


def _to_torch(given: Any) -> Any:
    if isinstance(given, np.generic):
        return torch.from_numpy(np.array(given))
    if not isinstance(given, np.ndarray):
        return given
    return torch.from_numpy(given if given.flags.writeable else given.copy())


def _from_torch(given: Any) -> Any:
    return given.numpy()[()] if isinstance(given, Tensor) else given
