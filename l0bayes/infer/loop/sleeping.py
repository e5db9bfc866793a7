r"""Units whose gates have all but shut, left out of the computation while the rest is trained."""

from __future__ import annotations

from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.model_abilities import LiveModel
from l0bayes.infer.targets.costs import activities

__all__ = ["Sleeping"]


class Sleeping(Callback):
    """Leaves units out at records, and computes everything again at the end.

    Args:
        model: The model.
    """

    def __init__(self, model: LiveModel) -> None:
        self.model = model

    def on_start(self, run: TrainingRun) -> None:
        if self.model.settle():
            run.gradient_step.forget()

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        self.on_start(run)  # which units sleep is in the model's buffers

    def on_record(self, run: TrainingRun, record: Record) -> None:
        if self.model.sleep(activities(run.guide)):
            run.gradient_step.forget()

    def on_end(self, run: TrainingRun) -> None:
        self.model.wake()
        run.gradient_step.forget()  # its graphs leave units out, which a next run would not
