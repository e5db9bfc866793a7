r"""The end of a run whose objective or parameters are no longer finite."""

from __future__ import annotations

import math
from typing import Any

import torch

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.loop.divergence_signs import (
    batch_at,
    place_of,
    signs_in_batch,
    signs_in_parameters,
    signs_in_run,
)

__all__ = ["DivergenceError", "FiniteGuard"]


class DivergenceError(FloatingPointError):
    """The objective or its gradient became NaN or infinite; the last finite record was put back.

    Args:
        message: The event and its remedies.

    Attributes:
        fit: What was fitted up to then, set by :func:`l0bayes.fit`.
    """

    fit: Any = None

    def __init__(self, message: str) -> None:
        super().__init__(message)


class FiniteGuard(Callback):
    """Ends a run whose objective or parameters are not finite, with the parameters of the last finite record.

    Args:
        lr: Learning rate, for the message.
        gate_lr: Learning rate of the gates, for the message.
        data: The data of the fit, for the message: which batch it was.
    """

    def __init__(self, lr: float, gate_lr: float, data: Any = ()) -> None:
        self.lr = lr
        self.gate_lr = gate_lr
        self.data = data

    def on_start(self, run: TrainingRun) -> None:
        run.keep()

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        run.keep()

    def on_record(self, run: TrainingRun, record: Record) -> None:
        finite = math.isfinite(record.elbo)
        if finite and all(bool(torch.isfinite(value).all()) for value in run.objective.parameters()):
            run.keep()
            return
        step = record.first_not_finite
        what = f"a gradient became NaN or infinite before step {record.step}"
        if step is not None:
            value = "NaN" if math.isnan(record.elbo) else "infinite"
            what = f"the objective became {value} at step {step}{place_of(self.data, step)}"
        signs = self._signs(run, step)
        told = f": {'; '.join(signs)}" if signs else ""
        raise DivergenceError(
            f"{what}{told}. Parameters were put back to the last finite record. Try a smaller lr (now "
            f"{self.lr}) or gate_lr (now {self.gate_lr}), and check the priors' scales"
        )

    def _signs(self, run: TrainingRun, step: int | None) -> list[str]:
        """What is known of the cause; the parameters are put back meanwhile."""
        batch, of_parameters = batch_at(run, self.data, step), signs_in_parameters(run.objective)
        if batch is None:
            run.put_back()
            return of_parameters
        of_batch = signs_in_batch(run.objective, batch)
        now = [] if of_parameters else signs_in_run(run.objective, batch)
        run.put_back()
        before = signs_in_run(run.objective, batch)
        if before:  # as they were last, too: it is the batch
            before = [f"{before[0]} already with the parameters of the last finite record", *before[1:]]
        return [*of_batch, *(before or of_parameters or now)]
