r"""Model arguments without end, from whatever holds the data."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from l0bayes.infer.loop.batches import Minibatches

__all__ = [
    "as_arguments",
    "endless_batches",
    "first_batch",
    "num_batches",
    "num_examples",
    "rows_of_last_batch",
]


def first_batch(data: Any) -> tuple[Any, ...]:
    """The model arguments of the first batch.

    Args:
        data: A tuple of arguments, one tensor, or an iterable of batches that can be iterated anew.

    Raises:
        ValueError: If there is no batch.
        TypeError: If ``data`` is none of these.
    """
    if isinstance(data, Tensor):
        return (data,)
    if isinstance(data, tuple):
        return data
    bare = isinstance(data, list) and any(isinstance(item, Tensor) for item in data)
    if bare or isinstance(data, dict | str) or not isinstance(data, Iterable):
        raise TypeError(
            "data must be a tuple of the model's arguments, a tensor, or a DataLoader of tuples; "
            f"got {'a list of tensors' if bare else type(data).__name__}"
        )
    if iter(data) is data:
        raise TypeError("data must be iterable more than once, as a DataLoader is; got a one-time iterator")
    for batch in data:
        return as_arguments(batch)
    raise ValueError("data is empty: the loader gave no batch")


def endless_batches(data: Any, done: int = 0) -> Iterator[tuple[Any, ...]]:
    """Model arguments without end: the same tuple again and again, or epoch after epoch of a loader.

    Args:
        data: A tuple of arguments or an iterable of batches.
        done: Number of batches to leave out, as they were before an interruption. A loader that shuffles
            by itself has another order by then; :class:`~l0bayes.infer.Minibatches` has the same.

    Raises:
        ValueError: If batches are to be left out and the data have no length.
    """
    if isinstance(data, Tensor | tuple):
        arguments = data if isinstance(data, tuple) else (data,)
        while True:
            yield arguments
    if isinstance(data, Minibatches):
        first, start = divmod(done, len(data))
        yield from data.epoch(first, start)
        for epoch in itertools.count(first + 1):
            yield from data.epoch(epoch)
    if done:
        length = num_batches(data)
        if length is None:
            raise ValueError(
                f"resume needs data with a length, to find the place in the epoch, which this "
                f"{type(data).__name__} lacks; use l0bayes.infer.Minibatches"
            )
        yield from (as_arguments(batch) for batch in itertools.islice(data, done % length, None))
    while True:
        for batch in data:
            yield as_arguments(batch)


def num_batches(data: Any) -> int | None:
    """Number of batches of an epoch; ``None`` where the data have no length.

    Args:
        data: An iterable of batches.
    """
    try:
        return len(data)
    except TypeError:
        return None


def as_arguments(batch: Any) -> tuple[Any, ...]:
    """One batch of a loader as the model's positional arguments.

    Args:
        batch: The batch.
    """
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def num_examples(data: Any) -> int | None:
    """Number of examples that the batches are made of; ``None`` where it is not known.

    Args:
        data: A tuple of arguments or an iterable of batches.
    """
    if isinstance(data, Minibatches):
        return data.num_data
    if not isinstance(data, DataLoader):
        return None
    sources: list[Any] = [getattr(data.batch_sampler, "sampler", data.dataset), data.dataset]
    for source in sources:
        try:
            return len(source)
        except (TypeError, NotImplementedError):  # it has none
            continue
    return None


def rows_of_last_batch(data: Any) -> int | None:
    """Number of examples of the last, smaller batch of an epoch; ``None`` where there is none, or unknown.

    Args:
        data: A tuple of arguments or an iterable of batches.
    """
    count = num_examples(data)
    if count is None or not isinstance(data, DataLoader) or data.batch_size is None or data.drop_last:
        return None
    return count % data.batch_size or None
