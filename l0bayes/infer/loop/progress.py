r"""The progress line of a training run."""

from __future__ import annotations

from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.loop.gate_readings import read_gates

__all__ = ["ProgressBar"]


class ProgressBar(Callback):
    """A progress bar on standard error with ELBO, expected and deployed L0."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._has_gates = False
        self._captures = False

    def on_start(self, run: TrainingRun) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[reading]}"),
            TimeRemainingColumn(),
        )
        self._has_gates = read_gates(run.guide).total > 0
        label = "training" if run.restarts == 1 else f"restart {run.index + 1} of {run.restarts}"
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._captures = run.gradient_step.mode != "eager"
        reading = "the model is captured; many sites take long" if self._captures else ""
        self._task = self._bar.add_task(label, total=run.steps, reading=reading)
        self._bar.start()

    def after_step(self, run: TrainingRun) -> None:
        if self._captures:
            self._captures = False
            self._bar.update(self._task, completed=run.done, reading="")

    def on_record(self, run: TrainingRun, record: Record) -> None:
        reading, history = f"ELBO {record.elbo:,.1f}", run.history
        if self._has_gates:
            reading += (
                f", gates open {history.expected_l0[-1]:.1f} expected, {history.deployed_l0[-1]} deployed"
            )
        self._bar.update(self._task, completed=record.step, reading=reading)

    def on_end(self, run: TrainingRun) -> None:
        self._bar.stop()
