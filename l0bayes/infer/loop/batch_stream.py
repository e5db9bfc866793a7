r"""Model arguments without end, from whatever holds the data."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from l0bayes.infer.argument_faults import not_tensor
from l0bayes.infer.loop.batches import Minibatches
from l0bayes.infer.model_arguments import as_arguments
from l0bayes.infer.row_parts import num_rows

__all__ = ["endless_batches", "first_batch", "num_batches", "num_examples", "rows_of_smallest_batch"]


def first_batch(data: Any) -> tuple[Any, ...]:
    """The model arguments of the first batch.

    Args:
        data: A tuple of arguments, a tensor or dictionary that is the only one, or an iterable of batches
            that can be iterated anew.

    Raises:
        ValueError: If there is no batch.
        TypeError: If ``data`` is none of these.
    """
    if isinstance(data, Tensor | tuple | Mapping):
        return as_arguments(data)
    bare = isinstance(data, list) and any(isinstance(item, Tensor) for item in data)
    batches = isinstance(data, Iterable) and isinstance(data, Dataset | DataLoader | Minibatches)
    said = None if batches else not_tensor("data", data)
    if bare or said is not None or isinstance(data, str) or not isinstance(data, Iterable):
        raise TypeError(
            "data must be a tuple of the model's arguments, a tensor, or a DataLoader of tuples; "
            f"got {'a list of tensors: give (x, y)' if bare else said or type(data).__name__}"
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
    length = num_batches(data)
    if done:
        if length is None:
            raise ValueError(
                f"resume needs data with a length, to find the place in the epoch, which this "
                f"{type(data).__name__} lacks; use l0bayes.infer.Minibatches"
            )
        _begin_epoch(data, done // length)
        yield from (as_arguments(batch) for batch in itertools.islice(data, done % length, None))
    for epoch in itertools.count(done // length + 1 if done and length else 0):
        _begin_epoch(data, epoch)
        for batch in data:
            yield as_arguments(batch)


def _begin_epoch(data: Any, epoch: int) -> None:
    """Tell a sampler that gives every rank its share which epoch it is, without which all have one order."""
    sampler = data.sampler if isinstance(data, DataLoader) else None
    if isinstance(sampler, DistributedSampler):
        sampler.set_epoch(epoch)


def num_batches(data: Any) -> int | None:
    """Number of batches of an epoch; ``None`` where the data have no length.

    Args:
        data: An iterable of batches.
    """
    try:
        return len(data)
    except TypeError:
        return None


def num_examples(data: Any) -> int | None:
    """Number of examples that the batches are made of; ``None`` where it is not known.

    Args:
        data: A tuple of arguments or an iterable of batches.
    """
    if isinstance(data, Minibatches):
        return data.num_data
    if _is_in_memory(data):
        return sum(map(num_rows, data)) or None
    if not isinstance(data, DataLoader) or data.batch_sampler is None:  # its elements are batches of any size
        return None
    sampler: Any = getattr(data.batch_sampler, "sampler", data.dataset)
    # A sampler that gives a rank its share leaves the number of examples as it is.
    sources: list[Any] = (
        [data.dataset] if isinstance(sampler, DistributedSampler) else [sampler, data.dataset]
    )
    for source in sources:
        try:
            return len(source)
        except (TypeError, NotImplementedError):  # it has none
            continue
    return None


def rows_of_smallest_batch(data: Any) -> int | None:
    """Number of examples of the smallest batch of an epoch; ``None`` where it is unknown.

    Args:
        data: A tuple of arguments or an iterable of batches.
    """
    if isinstance(data, Tensor | tuple | Mapping):
        return num_rows(data)
    if isinstance(data, Minibatches):
        return data.rows
    if _is_in_memory(data):
        return min(map(num_rows, data), default=None)
    if not isinstance(data, DataLoader) or data.batch_size is None:
        return None
    count = num_examples(data)
    if count is None or data.drop_last:
        return data.batch_size
    return count % data.batch_size or data.batch_size


@runtime_checkable
class _Indexed(Protocol):
    """Batches that are at hand by their number, so that going through them costs nothing to speak of."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def _is_in_memory(data: Any) -> bool:
    if isinstance(data, Tensor | tuple | Mapping | str | DataLoader | Dataset):
        return False
    return isinstance(data, _Indexed)
