"""What a run costs, epoch by epoch, in steps of the dense network that are taken in between."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.network import count_macs

__all__ = ["Meter", "plain_gradient"]

# Steps of a run between two of the dense network: few enough that they add little to a run's length.
_EVERY = 100


def plain_gradient(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """Gradients of a plain network, for the optimiser's step."""
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()


class Meter(Callback):
    """Times a run in processor's seconds, beside steps of the dense network on batches of the same shape.

    What these take is not counted as the run's. Each is a pair of steps, of which the second is timed, so
    that caches are warm as in training.

    Args:
        dense: A dense network, which is trained on the batch that is given.
        batch: Images and labels.
        steps_an_epoch: Number of steps of an epoch.
        stop_at_cut: Whether to end the run with the epoch in which its network is cut.
    """

    def __init__(
        self,
        dense: nn.Module,
        batch: tuple[Tensor, ...],
        steps_an_epoch: int,
        stop_at_cut: bool = False,
    ) -> None:
        self.dense, self.batch, self.steps_an_epoch = dense.train(), batch, steps_an_epoch
        self.stop_at_cut = stop_at_cut
        self.dense_macs = count_macs(dense, (batch[0][:1],))
        self.optimizer = torch.optim.Adam(dense.parameters(), fused=True)
        self.dense_seconds: list[float] = []
        self.epochs: list[dict[str, float]] = []
        self._aside = 0.0
        self._last = self._now()

    def _now(self) -> float:
        return time.process_time() - self._aside

    def start(self) -> None:
        """Begin to count, whatever was done before."""
        self._last = self._now()

    def stepped(self, done: int) -> None:
        """Take a pair of dense steps now and then.

        Args:
            done: Steps that the run has done.
        """
        if (done - 1) % _EVERY:
            return
        begun = time.process_time()
        for _ in range(2):
            started = time.process_time()
            plain_gradient(self.dense, self.optimizer, *self.batch)
            self.optimizer.step()
        ended = time.process_time()
        self.dense_seconds.append(ended - started)
        self._aside += ended - begun

    def epoch_done(self, **costs: float) -> None:
        """Write an epoch down.

        Args:
            **costs: What its network costs, as shares of the dense one's MACs.
        """
        now = self._now()
        self.epochs.append({"seconds": now - self._last, **costs})
        self._last = self._now()

    def after_step(self, run: TrainingRun) -> None:
        self.stepped(run.done)
        if run.done % self.steps_an_epoch == 0:
            costs = run.model.cost_summary(run.guide)
            deployed, expected = (
                costs[f"{kind}_macs"] / self.dense_macs for kind in ("deployed", "expected")
            )
            # Gates that are searched for multiply what the whole network computes.
            cut = run.decision is not None
            self.epoch_done(expected=expected, deployed=deployed, run=deployed if cut else 1.0)
            if cut and self.stop_at_cut:
                run.stop("cut")

    @property
    def seconds(self) -> float:
        """Processor's seconds of all epochs."""
        return sum(epoch["seconds"] for epoch in self.epochs)

    @property
    def dense_epoch(self) -> float:
        """Processor's seconds of an epoch of the dense network: mean of its steps, times their number."""
        return sum(self.dense_seconds) / len(self.dense_seconds) * self.steps_an_epoch

    def result(self) -> dict[str, Any]:
        """What was measured."""
        whole = self.dense_epoch * len(self.epochs)
        return {
            "seconds": self.seconds,
            "dense_seconds": whole,
            "time": self.seconds / whole,
            "dense_step_ms": 1e3 * self.dense_epoch / self.steps_an_epoch,
            "epochs": [
                {name: round(value, 5) for name, value in epoch.items()}
                | {"time": round(epoch["seconds"] / self.dense_epoch, 4)}
                for epoch in self.epochs
            ],
        }
