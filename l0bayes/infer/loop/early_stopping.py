r"""When to stop: the ELBO, smoothed, has stopped rising."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from l0bayes import validate
from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun

__all__ = ["EarlyStopping"]


@dataclass
class EarlyStopping(Callback):
    r"""Stop when the smoothed ELBO has not risen for a while.

    A single ELBO estimate is noisy, so it is smoothed as an exponential moving average,
    :math:`\bar e_t = (1 - a)\,\bar e_{t-1} + a\,e_t`, over the values recorded in the history.

    Args:
        patience: Number of recorded values without a rise before stopping.
        min_rise: Rise in nats that counts.
        smoothing: Weight a of a new value, in (0, 1].
        after: Progress of training before which it never stops, in [0, 1]; set it to where the
            schedules have arrived.

    It is a callback; the run ends as ``"converged"``.

    Raises:
        ValueError: If an argument is outside its range.
    """

    patience: int = 20
    min_rise: float = 0.0
    smoothing: float = 0.1
    after: float = 0.0

    def __post_init__(self) -> None:
        validate.at_least(1, patience=self.patience)
        validate.not_negative(min_rise=self.min_rise)
        validate.inside("(0, 1]", smoothing=self.smoothing)
        validate.inside("[0, 1]", after=self.after)

    def on_record(self, run: TrainingRun, record: Record) -> None:
        self._judge(run)

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        self._judge(run)  # it may have ended when it was kept

    def _judge(self, run: TrainingRun) -> None:
        progresses = [step / run.steps for step in run.history.step]
        if self.should_stop(run.history.elbo, progresses):
            run.stop("converged")

    def should_stop(self, elbos: list[float], progresses: list[float]) -> bool:
        """Whether a history of recorded ELBOs, with the progress at each, is a reason to stop."""
        best, since = -math.inf, 0
        smoothed: float | None = None
        for elbo, progress in zip(elbos, progresses, strict=True):
            smoothed = elbo if smoothed is None else smoothed + self.smoothing * (elbo - smoothed)
            if progress < self.after:
                continue
            if smoothed > best + self.min_rise:
                best, since = smoothed, 0
            else:
                since += 1
        return since >= self.patience
