r"""One run of training while it goes on, as callbacks see and change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from l0bayes.infer.callbacks.decision import Decision
from l0bayes.infer.callbacks.history import History
from l0bayes.infer.objectives.compiled import GradientStep
from l0bayes.infer.objectives.elbo import BoundELBO

__all__ = ["AllCallbacks", "Record", "TrainingRun"]


@dataclass(frozen=True)
class Record:
    """The measurements since the last record.

    Attributes:
        step: Steps done.
        elbo: Mean over the steps since the last record of log likelihood minus KL, in nats.
        log_likelihood: Mean expected log likelihood, in nats.
        kl: Mean KL of all sites, in nats, unweighted.
        first_not_finite: The first of these steps whose objective was NaN or infinite, from 1; ``None`` where
            none was.
    """

    step: int
    elbo: float
    log_likelihood: float
    kl: float
    first_not_finite: int | None = None


class AllCallbacks(Protocol):
    """The callbacks of a run, as one: the history and checkpoints read them."""

    def columns(self, run: TrainingRun) -> dict[str, float]:
        """The further columns of a record, of all callbacks.

        Args:
            run: The run.
        """
        ...

    def shape_like(self, run: TrainingRun, states: dict[str, dict[str, Any]]) -> None:
        """Bring the run to the shape that it had.

        Args:
            run: The run.
            states: The result of :meth:`state_dict`.
        """
        ...

    def state_dict(self, run: TrainingRun) -> dict[str, dict[str, Any]]:
        """A copy of the state of every callback that has one, by name.

        Args:
            run: The run.
        """
        ...

    def load_state_dict(self, run: TrainingRun, states: dict[str, dict[str, Any]]) -> None:
        """Give every callback its state.

        Args:
            run: The run.
            states: The result of :meth:`state_dict`.
        """
        ...


@dataclass
class TrainingRun:
    """One run of training.

    Attributes:
        objective: The ELBO with its model and guide.
        optimizer: The optimiser.
        gradient_step: Computes loss and gradients, possibly as a captured graph.
        steps: Number of steps planned.
        callbacks: All callbacks of the run.
        settings: The settings of the fit as plain values.
        seed: Seed of the run.
        index: Number of the run among the restarts, from 0.
        restarts: Number of runs.
        history: The records so far.
        collapsed: Gate site to the step at which all its gates had shut.
        done: Number of steps done.
        stopped: Why the run ended, ``None`` while it goes on.
        decision: What was decided of the gates, ``None`` while they are trained.
        whole: The objective of the original units, where ``objective`` is what was left of it.
        batch: The model's positional arguments at the last step.
    """

    objective: BoundELBO
    optimizer: Optimizer
    gradient_step: GradientStep
    steps: int
    callbacks: AllCallbacks
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    index: int = 0
    restarts: int = 1
    history: History = field(default_factory=History)
    collapsed: dict[str, int] = field(default_factory=dict)
    done: int = 0
    stopped: str | None = None
    decision: Decision | None = None
    whole: BoundELBO | None = None
    batch: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self._kept: list[Tensor] = []

    @property
    def model(self) -> Any:
        """The model, of the original units."""
        return (self.whole or self.objective).model

    @property
    def guide(self) -> Any:
        """The guide, of the original units."""
        return (self.whole or self.objective).guide

    @property
    def progress(self) -> float:
        """Steps done over steps planned, in [0, 1]."""
        return self.done / self.steps

    def stop(self, reason: str) -> None:
        """End the run after the current step. The first reason counts.

        Args:
            reason: The value of :attr:`Restart.stopped <l0bayes.infer.Restart>`, such as ``"converged"``.
        """
        self.stopped = self.stopped or reason

    @torch.no_grad()
    def keep(self) -> None:
        """Keep the parameters as they are now, for :meth:`put_back`."""
        now = [*self.objective.parameters()]
        # Into the memory of what was kept before, unless other parameters are trained since.
        if list(map(_form, self._kept)) == list(map(_form, now)):
            for kept, parameter in zip(self._kept, now, strict=True):
                kept.copy_(parameter)
        else:
            self._kept = [parameter.detach().clone() for parameter in now]

    @torch.no_grad()
    def put_back(self) -> None:
        """Put the parameters that were kept last back in place."""
        for parameter, value in zip(self.objective.parameters(), self._kept, strict=True):
            parameter.copy_(value)


def _form(value: Tensor) -> tuple[Any, ...]:
    return value.shape, value.stride(), value.dtype, value.device
