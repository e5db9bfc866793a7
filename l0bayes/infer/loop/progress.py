r"""The progress line of a training run."""

from __future__ import annotations

import sys
from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.loop.gate_readings import read_gates

__all__ = ["ProgressBar"]

_FORMAT = "{desc} {bar:12} {n_fmt}/{total_fmt} {postfix[0]} {remaining}"


class ProgressBar(Callback):
    """A progress bar on standard error with ELBO, expected and deployed L0.

    A file, which cannot show a line that changes, gets its first and its last state.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._has_gates = False
        self._captures = False

    def on_start(self, run: TrainingRun) -> None:
        from tqdm import tqdm  # Pyro brings it

        bar: Any = type("Bar", (tqdm,), {"monitor_interval": 0})  # no thread beside the training
        self._has_gates = read_gates(run.guide).total > 0
        self._captures = run.gradient_step.mode != "eager"
        reading = ["the model is captured; many sites take long" if self._captures else ""]
        self._bar = bar(
            desc="training" if run.restarts == 1 else f"restart {run.index + 1} of {run.restarts}",
            total=run.steps,
            bar_format=_FORMAT,
            postfix=reading,
            file=sys.stderr,
            mininterval=0.1 if sys.stderr.isatty() else float("inf"),
            miniters=1,
            dynamic_ncols=True,
        )

    def after_step(self, run: TrainingRun) -> None:
        if self._captures:
            self._captures = False
            self._show(run.done, "")

    def on_record(self, run: TrainingRun, record: Record) -> None:
        reading, history = f"ELBO {record.elbo:,.1f}", run.history
        if self._has_gates:
            reading += (
                f", gates open {history.expected_l0[-1]:.1f} expected, {history.deployed_l0[-1]} deployed"
            )
        self._show(record.step, reading)

    def on_end(self, run: TrainingRun) -> None:
        self._bar.close()

    def _show(self, step: int, reading: str) -> None:
        self._bar.postfix[0] = reading
        self._bar.update(step - self._bar.n)
