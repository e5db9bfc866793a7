"""Predicted class probabilities and labels as they come, brought into one form and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["Floats", "Integers", "as_array", "distributions", "labelled"]

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
# Float32 softmaxes, averaged over draws, miss 1 by less; percentages and logits by far more.
_SUM_TOLERANCE = 1e-3


def as_array(values: Any) -> Floats:
    """A tensor or anything array-like as doubles of numpy.

    Args:
        values: Numbers.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def distributions(probabilities: Any) -> Floats:
    """Class probabilities of shape (n, classes), each row of sum 1.

    Args:
        probabilities: Tensor or array of that shape, or of shape (n,) for class 1 of two.

    Raises:
        ValueError: If the shape is another or a row is no distribution.
    """
    p = as_array(probabilities)
    if p.ndim == 1:
        p = np.stack([1.0 - p, p], -1)
    if p.ndim != 2 or not len(p) or p.shape[1] < 2:
        raise ValueError(
            "probabilities must have shape (n, classes) with at least one row and two classes, or (n,); "
            f"got {p.shape}"
        )
    if not ((p >= 0.0) & (p <= 1.0 + _SUM_TOLERANCE)).all():  # also false for NaN
        raise ValueError(
            f"probabilities must lie between 0 and 1, got values from {p.min():.4g} to {p.max():.4g}"
        )
    off = np.abs(p.sum(-1) - 1.0)
    if off.max() > _SUM_TOLERANCE:
        row = int(off.argmax())
        raise ValueError(
            f"probabilities must sum to 1 in every row, got {p[row].sum():.6g} in row {row}; logits need a "
            "softmax first"
        )
    return p


def labelled(probabilities: Any, labels: Any) -> tuple[Floats, Integers]:
    """Class probabilities with the true classes.

    Args:
        probabilities: As in :func:`distributions`.
        labels: Integers of shape (n,).

    Raises:
        ValueError: As :func:`distributions`, and if the labels are no classes, one for each row.
    """
    p = distributions(probabilities)
    y = labels.detach().cpu().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    if y.shape != (len(p),):
        raise ValueError(f"labels must have shape ({len(p)},), one for each row, got {y.shape}")
    if y.dtype.kind not in "iub":
        raise ValueError(f"labels must be integers, got dtype {y.dtype}")
    y = y.astype(np.int64)
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(
            f"labels must lie between 0 and {p.shape[1] - 1}, the last of {p.shape[1]} classes; got values "
            f"from {y.min()} to {y.max()}"
        )
    return p, y
