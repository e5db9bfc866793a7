r"""The target as a callback: it moves with the progress of training and is judged at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.targets.costs import activities, costs_of, deployed, deployed_share_of
from l0bayes.infer.targets.target_elbo import TargetELBO
from l0bayes.user_warnings import warn_user

__all__ = ["TargetSteering", "TargetWarning"]

# By how much the deployed share may exceed the target without a warning.
_TOLERANCE = 0.01
# The part of the target below which the deployed network is smaller than it had to be.
_LEAST = 0.5


class TargetWarning(UserWarning):
    """The deployed network is larger than its target, or much smaller than it had to be."""


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
            warn_user(
                f"the deployed network has {reached:.4f} of the dense network's {target.kind} where "
                f"{target.share:g} was asked for (expected {expected:.4f}). Give it more steps, or a "
                "larger gate_lr so that gates can close in time",
                TargetWarning,
            )
        elif reached < _LEAST * target.share and self._has_room():
            warn_user(
                f"the deployed network has {reached:.4f} of the dense network's {target.kind} where "
                f"{target.share:g} was asked for (expected {expected:.4f}): it is much smaller than it had "
                "to be. Give it more steps, so that the price of size can settle, a smaller gate_lr, or a "
                "prior that shuts fewer gates by itself",
                TargetWarning,
            )

    @torch.no_grad()
    def _has_room(self) -> bool:
        """Whether the target would allow another open gate: of coarse gates one may be too many."""
        target, active = self.objective.target, activities(self.objective.guide)
        share_of = deployed_share_of(costs_of(self.objective.model, self.objective.guide))
        for site, chances in active.items():
            opened = deployed(active)
            shut = opened[site] == 0.0
            if bool(shut.any()):
                likeliest = torch.where(shut, chances, -torch.ones_like(chances)).argmax()
                opened[site].view(-1)[likeliest] = 1.0
                if float(share_of(target.kind, opened)) <= target.share:
                    return True
        return False
