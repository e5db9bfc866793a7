r"""Minibatches of tensors that are in memory: shuffled anew each epoch, and at any point again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.infer.argument_faults import not_tensor

__all__ = ["Minibatches"]


class Minibatches:
    """Batches of rows of tensors, in a new order each epoch.

    The order is a function of seed and epoch alone, so that an interrupted run goes on where it stood.
    Every batch is gathered by one ``index_select`` a tensor, on the tensors' own device. The
    rows after the last whole batch of an epoch are dropped, other ones each time: one shape of batch is one
    captured graph.

    Each pass of a ``for`` loop is the next epoch. :func:`l0bayes.fit` counts epochs itself, from 0.

    Args:
        *tensors: Tensors with the examples along the first dimension, all equally many.
        batch_size: Number of examples a batch.
        seed: Seed of the order.
        transform: From the first tensor's rows and a generator to the rows that replace them, such as
            :class:`~l0bayes.datasets.Shifts`. The generator is a function of seed, epoch, batch, share.

    Raises:
        TypeError: If an argument is no tensor.
        ValueError: If there is no tensor, their lengths differ, ``batch_size`` is not between 1 and the
            number of examples, or ``seed`` is negative.

    Example::

        batches = Minibatches(images, labels, batch_size=100)
        fit = l0bayes.fit(model, guide, batches, epochs=20)
    """

    def __init__(
        self,
        *tensors: Tensor,
        batch_size: int,
        seed: int = 0,
        transform: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ) -> None:
        if not tensors:
            raise ValueError("tensors must be at least one, got none")
        for index, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                words = not_tensor(f"argument {index}", tensor)
                raise TypeError(
                    f"argument {index} of tensors must be a Tensor, got {type(tensor).__name__}; several "
                    "inputs are arguments of their own: Minibatches(first, second, labels, batch_size=...)"
                    + (f"; {words}" if words else "")
                )
            if tensor.dim() == 0:
                raise ValueError(f"argument {index} must have examples along a dimension, got a scalar")
        lengths = [len(tensor) for tensor in tensors]
        if len(set(lengths)) > 1:
            raise ValueError(f"tensors must have equally many examples, got {lengths}")
        if not 1 <= batch_size <= lengths[0]:
            raise ValueError(
                f"batch_size must lie between 1 and the number of examples, {lengths[0]}; got {batch_size!r}"
            )
        validate.not_negative(seed=seed)
        self.tensors = tensors
        self.batch_size = batch_size
        self.seed = seed
        self.transform = transform
        self._epoch = 0
        self._share = (0, 1)

    @property
    def num_data(self) -> int:
        """Number of examples."""
        return len(self.tensors[0])

    @property
    def rows(self) -> int:
        """Number of examples of a batch as it is given: its share of ``batch_size``."""
        return self.batch_size // self._share[1]

    def share(self, index: int, count: int) -> Minibatches:
        """The same batches, of which each is one share of several: the rows that stand together.

        Args:
            index: Number of the share, from 0.
            count: Number of shares.

        Raises:
            ValueError: If the batch size is no multiple of the number of shares.
        """
        if self.batch_size % count:
            raise ValueError(
                f"batch_size={self.batch_size} is the whole batch, and no multiple of the {count} ranks that "
                "share it"
            )
        shared = copy.copy(self)
        shared._share = (index, count)
        return shared

    def __len__(self) -> int:
        return self.num_data // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        self._epoch += 1
        return self.epoch(self._epoch - 1)

    @property
    def _stream(self) -> tuple[int, ...]:
        return self._share[:1] if self._share[1] > 1 else ()

    def epoch(self, index: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """The batches of one epoch.

        Args:
            index: The epoch, from 0.
            start: First batch to give, to go on inside an epoch.
        """
        generator = _generator(self.seed, index)
        order = torch.randperm(self.num_data, generator=generator).to(self.tensors[0].device)
        for batch in range(start, len(self)):
            begin = batch * self.batch_size + self._share[0] * self.rows
            rows = order[begin : begin + self.rows]
            first, *others = (tensor.index_select(0, rows) for tensor in self.tensors)
            if self.transform is not None:
                first = self.transform(first, _generator(self.seed, index, batch, *self._stream))
            yield (first, *others)

    def __repr__(self) -> str:
        return f"Minibatches({len(self)} batches of {self.batch_size} of {self.num_data} examples)"


def _generator(*entropy: int) -> torch.Generator:
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))
