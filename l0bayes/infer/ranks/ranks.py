r"""The processes of a run. Each of them, a *rank*, has all parameters and its own share of every batch.

With the negative ELBO of rank r of R on its share :math:`B_r` of a batch, scaled to all N examples as in
every minibatch,

.. math::
    L_r = -\frac{N}{|B_r|} \sum_{i \in B_r} \log p(y_i \mid \theta) + \mathrm{KL}, \qquad
    \frac1R \sum_r L_r = -\frac{N}{\sum_r |B_r|} \sum_i \log p(y_i \mid \theta) + \mathrm{KL}

for shares of one size: averaging the gradients is the step on the whole batch, and the KL counts once. Draws
of gates and slabs differ between ranks, so that the average is over R draws of them too.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Ranks", "RanksDisagreeError", "SeveralRanks"]


class RanksDisagreeError(RuntimeError):
    """The ranks of a run have other settings, parameters or units, so that their average means nothing."""


class Ranks:
    """A process that trains by itself.

    Attributes:
        index: Number of this process, from 0.
        count: Number of processes.
    """

    index = 0
    count = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.index == 0

    def begin(self, module: nn.Module, facts: Mapping[str, Any]) -> None:
        """Begin a run with the parameters and buffers of rank 0.

        Args:
            module: What is trained.
            facts: What must be the same on all ranks, by name.

        Raises:
            RanksDisagreeError: If it is not.
        """

    def total(self, count: int | None) -> int | None:
        """The sum over the ranks; ``None`` where one does not know.

        Args:
            count: What this rank has counted.
        """
        return count

    def begin_step(self, seed: int, step: int) -> None:
        """Set the noise of a step.

        Args:
            seed: Seed of the run.
            step: The step, from 0.
        """

    def average(self, parameters: Iterable[nn.Parameter], measured: Tensor) -> Tensor:
        """Average gradients, in place, and what was measured.

        Args:
            parameters: The parameters.
            measured: Likelihood and KL of the step.

        Returns:
            The mean of what was measured.

        Raises:
            KeyboardInterrupt: If a rank was interrupted, on all of them at the same step.
        """
        return measured

    def agree(self, module: nn.Module, step: int) -> None:
        """Average the moving averages of layers, and look whether the ranks have the same parameters.

        Args:
            module: What is trained.
            step: The step, for the message.

        Raises:
            RanksDisagreeError: If they have not.
        """

    def calling_back(self) -> AbstractContextManager[None]:
        """Calls of the user's code, which may end the run by a ``KeyboardInterrupt``."""
        return nullcontext()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A run that an interruption ends on all ranks at the same step."""
        yield


class SeveralRanks(Ranks):
    """The processes of torch's default process group.

    The noise of rank r in step t of a run with seed s comes from the NumPy seed sequence (s, r, t): no two
    ranks or steps share it, and a run that is resumed needs no other rank's generators.
    """

    def __init__(self) -> None:
        import torch.distributed as group

        self._group = group
        self.index = group.get_rank()
        self.count = group.get_world_size()
        self._interrupted = False

    def begin(self, module: nn.Module, facts: Mapping[str, Any]) -> None:
        every: list[Any] = [None] * self.count
        self._group.all_gather_object(every, dict(facts))
        for name, value in facts.items():
            found = [one.get(name) for one in every]
            if any(one != value for one in found):
                told = "; ".join(f"rank {rank}: {one!r}" for rank, one in enumerate(found))
                raise RanksDisagreeError(
                    f"all ranks must have the same {name}: {told}. Build model, guide and data by the same "
                    "code on every rank"
                )
        with torch.no_grad():
            for value in (*module.parameters(), *module.buffers()):
                # Contiguous, and of numbers that every backend sends.
                sent = value.to(torch.uint8) if value.dtype is torch.bool else value.clone()
                self._group.broadcast(sent.contiguous(), 0)
                value.copy_(sent)

    def total(self, count: int | None) -> int | None:
        every: list[int | None] = [None] * self.count
        self._group.all_gather_object(every, count)
        known = [one for one in every if one is not None]
        return sum(known) if len(known) == self.count else None

    def begin_step(self, seed: int, step: int) -> None:
        state = np.random.SeedSequence((seed, self.index, step)).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))

    def average(self, parameters: Iterable[nn.Parameter], measured: Tensor) -> Tensor:
        kinds: dict[Any, list[Tensor]] = {}
        for parameter in parameters:
            if not parameter.requires_grad:
                continue
            if parameter.grad is None:  # another rank's share may have reached it
                parameter.grad = torch.zeros_like(parameter)
            kinds.setdefault((parameter.dtype, parameter.device), []).append(parameter.grad)
        for gradients in kinds.values():
            whole = torch.cat([gradient.reshape(-1) for gradient in gradients])
            self._group.all_reduce(whole)
            whole /= self.count
            parts = whole.split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))
        told = torch.cat([measured.double(), measured.new_tensor([float(self._interrupted)]).double()])
        self._group.all_reduce(told)
        if told[-1] > 0:
            raise KeyboardInterrupt
        return told[:-1] / self.count

    def agree(self, module: nn.Module, step: int) -> None:
        size = sum(parameter.numel() for parameter in module.parameters())
        sums = (parameter.detach().double().nan_to_num().sum() for parameter in module.parameters())
        mine = torch.tensor([float(size), float(sum(sums))], dtype=torch.float64)
        highest, lowest = self._bounds(mine)
        if not torch.equal(highest, lowest):
            what = "numbers of units" if highest[0] != lowest[0] else "parameters"
            raise RanksDisagreeError(
                f"the ranks have other {what} at step {step}, so that they no longer train one guide. A "
                "callback or a model that draws, measures time or reads files by itself may do that"
            )
        for buffer in module.buffers():
            if buffer.dtype.is_floating_point and buffer.numel():
                self._average_where_apart(buffer)

    def _average_where_apart(self, buffer: Tensor) -> None:
        highest, lowest = self._bounds(buffer)
        if torch.equal(highest, lowest):
            return
        mean = buffer.clone()
        self._group.all_reduce(mean)
        buffer.copy_(torch.where(highest == lowest, buffer, mean / self.count))

    def _bounds(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The highest and the lowest of every entry over the ranks."""
        highest, lowest = values.detach().clone(), values.detach().clone()
        self._group.all_reduce(highest, self._group.ReduceOp.MAX)
        self._group.all_reduce(lowest, self._group.ReduceOp.MIN)
        return highest, lowest

    @contextmanager
    def calling_back(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            if self._interrupted:  # asked for a second time: at once
                raise
            self._interrupted = True  # the other ranks hear of it at the next step

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: Any) -> None:
            if self._interrupted:  # asked for a second time: at once
                raise KeyboardInterrupt
            self._interrupted = True

        before = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            self._interrupted = False
            signal.signal(signal.SIGINT, before)
