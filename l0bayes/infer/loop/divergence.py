r"""The end of a run whose objective or parameters are no longer finite."""

from __future__ import annotations

import math
from typing import Any

import torch

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun

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
    """

    def __init__(self, lr: float, gate_lr: float) -> None:
        self.lr = lr
        self.gate_lr = gate_lr

    def on_start(self, run: TrainingRun) -> None:
        run.keep()

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        run.keep()

    def on_record(self, run: TrainingRun, record: Record) -> None:
        finite = math.isfinite(record.elbo)
        if finite and all(bool(torch.isfinite(value).all()) for value in run.objective.parameters()):
            run.keep()
            return
        run.put_back()
        what = "a gradient became NaN or infinite" if finite else f"the objective became {record.elbo}"
        raise DivergenceError(
            f"{what} before step {record.step}; parameters were put back to the last finite record. Try a "
            f"smaller lr (now {self.lr}) or gate_lr (now {self.gate_lr}), and check the priors' scales"
        )
