r"""A cost that is measured is measured again while a network is trained to it, near where it will end."""

from __future__ import annotations

from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.model_abilities import CostedModel
from l0bayes.infer.targets.costs import activities, deployed, settle

__all__ = ["CostSettling"]

# Progress at which the network that would be deployed is measured.
_AT = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class CostSettling(Callback):
    """Measures the network that would be deployed, now and then, where the target's cost is measured at all.

    Args:
        costs: The costs of the model.
        kind: The cost that the target names.
    """

    def __init__(self, costs: CostedModel, kind: str) -> None:
        self.costs, self.kind = costs, kind

    def before_step(self, run: TrainingRun) -> None:
        if run.decision is None and run.done in {round(part * run.steps) for part in _AT}:
            self._settle(run.guide)

    def on_finish(self, fit: Any) -> None:
        self._settle(fit.guide)

    def _settle(self, guide: Any) -> None:
        settle(self.costs, self.kind, deployed(activities(guide)))
