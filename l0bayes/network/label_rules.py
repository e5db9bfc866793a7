r"""What operations do to the labels of units."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from l0bayes.network.head_products import follow_product, follow_softmax, unite_rows
from l0bayes.network.kinds.shuffled_units import maps_made_of_pixels, pixels_made_of_maps, places_changed
from l0bayes.network.operations import POINTWISE, POOLING, REDUCTIONS, ROW_NORMS, SHAPES, SHUFFLES, SOFTMAX
from l0bayes.network.unit_labels import UnitLabels
from l0bayes.network.units import NONE, HeadProduct

__all__ = ["follow"]


def follow(
    units: UnitLabels, func: Any, args: Any, kwargs: Any, tensors: list[Tensor], out: Any
) -> HeadProduct | None:
    """Label what an operation returns.

    Args:
        units: The labels.
        func: The operation, as a dispatch mode gets it.
        args: Its arguments.
        kwargs: Its arguments by name.
        tensors: The tensors among them.
        out: Its result.

    Returns:
        The product, if it is one of heads.
    """
    name = func._schema.name.removeprefix("aten::").rstrip("_")
    if torch.Tag.pointwise in func.tags or name in POINTWISE:
        _pointwise(units, tensors, out)
    elif name in SHAPES:
        _shape(units, func, name, args, kwargs, out)
    elif name == "as_strided" and _is_as_it_was(args, out):
        _pointwise(units, tensors, out)
    elif name in SHUFFLES:
        _shuffle(units, name, args[0], args[1], out)
    elif name in POOLING:
        _pooling(units, tensors[0], out, name)
    elif name in ROW_NORMS and len(args[1]) == 1 and unite_rows(units, args[0], pytree.tree_leaves(out)[0]):
        pass
    elif name in REDUCTIONS:
        _reduction(units, args, kwargs, out, name)
    elif name == "view_as_complex":
        _as_complex(units, args[0], out)
    elif name == "view_as_real":
        units.put(out, units.compact(args[0])[..., None])  # type: ignore[index]
    elif name in SOFTMAX and follow_softmax(units, args[0], args[1], out):
        pass
    elif (product := follow_product(units, name, tensors, out)) is not None:
        return product
    else:
        for x in tensors:
            labels = units.compact(x)
            if labels is not None:
                units.mix(labels, name)
    return None


def _pointwise(units: UnitLabels, tensors: list[Tensor], results: Any) -> None:
    out, *others = pytree.tree_leaves(results)
    # Not torch.broadcast_shapes, which imports a computer algebra.
    known = torch.broadcast_tensors(*(labels for x in tensors if (labels := units.compact(x)) is not None))
    merged = torch.full_like(known[0], NONE)
    for labels in known:
        units.tie(merged, labels)
        merged = torch.where(merged >= 0, merged, labels)
    for x in tensors:
        if not units.knows(x):
            units.fix_beside(x, merged)
    for one in known:  # units that meet entries which are none, in a tensor of units, cannot leave it
        units.fix(merged[(one < 0) & (merged >= 0)])
    for result in (out, *others):  # dropout's mask, for one
        if result.shape == out.shape:
            units.put(result, merged)


def _as_complex(units: UnitLabels, x: Tensor, out: Tensor) -> None:
    """Pairs of entries become one."""
    labels = units.compact(x)
    assert labels is not None
    units.tie(labels[..., :1], labels)
    units.fix(labels[(labels < 0).any(-1)])
    units.put(out, labels.amax(-1))


def _shape(units: UnitLabels, func: Any, name: str, args: Any, kwargs: Any, out: Any) -> None:
    def labels_of(x: Any, whole: bool) -> Any:
        if not isinstance(x, Tensor) or not (x.is_floating_point() or units.knows(x)):
            return x
        labels = units.get(x)
        labels = torch.full((), NONE).expand(x.shape) if labels is None else labels
        return labels.contiguous() if whole else labels

    def run(whole: bool) -> Any:
        called, named = pytree.tree_map(lambda x: labels_of(x, whole), (args, kwargs))
        if name == "constant_pad_nd":
            called = (*called[:2], NONE)
        return func(*called, **({} if name == "_to_copy" else named))

    try:
        labels = run(whole=False)
    except RuntimeError:  # a view of what is spread without memory of its own
        labels = run(whole=True)
    for x, one in zip(pytree.tree_leaves(out), pytree.tree_leaves(labels), strict=True):
        units.put(x, one)


def _is_as_it_was(args: Any, out: Tensor) -> bool:
    """Whether ``as_strided`` leaves every entry in its place, as where a mean of pixels, all maps with a last
    pixel of their own, is said to be in ``channels_last``: only strides of dimensions of size 1 differ."""
    x = args[0]
    if x.shape != out.shape or x.storage_offset() != out.storage_offset():
        return False
    several = [dim for dim, size in enumerate(out.shape) if size > 1]
    if x is not out:
        return all(x.stride(dim) == out.stride(dim) for dim in several)
    expected = 1  # in place, so that what it was is gone: entries that stand one behind the other
    for dim in reversed(several):
        if out.stride(dim) != expected:
            return False
        expected *= out.shape[dim]
    return True


def _shuffle(units: UnitLabels, name: str, x: Tensor, count: int, out: Tensor) -> None:
    """Maps that become pixels of one another, or change places."""
    dim = 1 if "channel" in name else -3
    read = units.vector(x, dim, name)
    if name == "pixel_shuffle":
        labels = pixels_made_of_maps(read, count, units)
    elif name == "pixel_unshuffle":
        labels = maps_made_of_pixels(read, count)
    else:
        labels = places_changed(read, count, units)
    shape = [1] * out.dim()
    shape[dim] = -1
    units.put(out, labels.reshape(shape))


def _pooling(units: UnitLabels, x: Tensor, out: Any, name: str) -> None:
    result = pytree.tree_leaves(out)[0]
    labels = units.vector(x, 1, name)
    units.put(result, labels.reshape(1, -1, *[1] * (result.dim() - 2)))


def _reduction(units: UnitLabels, args: Any, kwargs: Any, out: Tensor, name: str) -> None:
    labels = units.compact(args[0])
    assert labels is not None
    if name == "linalg_vector_norm":  # its order stands before the dimensions
        args = (args[0], *args[2:])
    dims = args[1] if len(args) > 1 and args[1] is not None else list(range(labels.dim()))
    keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
    low, high = torch.amin(labels, dims, keep), torch.amax(labels, dims, keep)
    differ = torch.amin(labels, dims, True).ne(torch.amax(labels, dims, True))
    if bool(differ.any()) and unite_rows(
        units, args[0], out, [dims] if isinstance(dims, int) else dims, keep
    ):
        return
    units.mix(labels[differ.expand_as(labels)], name)
    units.put(out, torch.where(low == high, low, NONE))
