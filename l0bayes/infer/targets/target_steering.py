r"""The target as a callback: it moves with the progress of training and is judged at the end."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.targets.target_elbo import TargetELBO

__all__ = ["TargetSteering", "TargetWarning"]

# By how much the deployed share may exceed the target without a warning.
_TOLERANCE = 0.01


class TargetWarning(UserWarning):
    """The deployed network ended above its target."""


class TargetSteering(Callback):
    """Moves the share that is asked for, and warns where the deployed network missed it.

    Args:
        objective: The objective that holds the target and its controller.
    """

    def __init__(self, objective: TargetELBO) -> None:
        self.objective = objective

    def on_start(self, run: TrainingRun) -> None:
        self.objective.begin()

    def before_step(self, run: TrainingRun) -> None:
        self.objective.set_progress(run.progress)

    def columns(self, run: TrainingRun) -> Mapping[str, float]:
        return {"multiplier": float(self.objective.multiplier), "target": float(self.objective.asked)}

    def on_finish(self, fit: Any) -> None:
        if fit.restarts[-1].stopped != "finished":
            return
        target = self.objective.target
        expected, reached = self.objective.shares()
        if reached > target.share + _TOLERANCE:
            warnings.warn(
                f"the deployed network has {reached:.4f} of the dense network's {target.kind} where "
                f"{target.share:g} was asked for (expected {expected:.4f}). Give it more steps, or a "
                "larger gate_lr so that gates can close in time",
                TargetWarning,
                stacklevel=4,
            )
