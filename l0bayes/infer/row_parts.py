"""The examples in a batch: how many there are, and some of them at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from l0bayes.infer.model_arguments import as_arguments

__all__ = ["num_rows", "parts_of_rows"]


def num_rows(batch: Any) -> int:
    """Number of examples in a batch: the first dimension of its first tensor that has one; 0 without.

    Args:
        batch: Arguments of a model, in tuples, lists and dictionaries.
    """
    tensors = pytree.tree_leaves(as_arguments(batch))
    return next((len(x) for x in tensors if isinstance(x, Tensor) and x.dim()), 0)


def parts_of_rows(batch: Any, size: int) -> Iterator[tuple[Any, ...]]:
    """Arguments of some examples at a time; once as they are where there are no examples.

    Args:
        batch: Arguments of a model. Tensors of another length than the first one hold no examples, and stay.
        size: Number of examples at a time.
    """
    arguments = as_arguments(batch)
    rows = num_rows(arguments)
    for begin in range(0, max(rows, 1), size):

        def part(x: Any, begin: int = begin) -> Any:
            whole = isinstance(x, Tensor) and x.dim() and len(x) == rows
            return x[begin : begin + size] if whole else x

        found: tuple[Any, ...] = pytree.tree_map(part, arguments)
        yield found
