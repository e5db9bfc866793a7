r"""The target as a callback: it moves with the progress of training and is judged at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.decision import Decision
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.targets.costs import activities, costs_of, deployed, deployed_share_of
from l0bayes.infer.targets.rank_decision import decide_by_rank, reason_not_decided
from l0bayes.infer.targets.target_elbo import TargetELBO
from l0bayes.user_warnings import warn_user

__all__ = ["TargetSteering", "TargetWarning"]

# By how much the deployed share may exceed the target where gates cannot be decided.
_TOLERANCE = 0.01
# When gates that are too many are shut, so that the weights are trained on for the rest of the run; and how
# far from the target, in relation to it, gates are taken to be undecided altogether.
_LATE = 0.85
_TOO_LARGE, _TOO_SMALL = 1.15, 0.8
# The part of the target below which the deployed network is smaller than it had to be.
_LEAST = 0.5


class TargetWarning(UserWarning):
    """Gates were undecided where a target was asked for, or the network is larger or much smaller than it."""


class TargetSteering(Callback):
    """Moves the share that is asked for, and holds the deployed network to the target in the end.

    When most of the run is over, and again at its end, open gates that are too many are shut, the least
    probable ones first. Where the network is far from the target, since gates are undecided, all of them are
    decided, and a warning says so.

    Args:
        objective: The objective that holds the target and its controller.
    """

    def __init__(self, objective: TargetELBO) -> None:
        self.objective = objective
        self._missed: tuple[float, float] | None = None

    def on_start(self, run: TrainingRun) -> None:
        self._missed = None
        self.objective.begin()

    def before_step(self, run: TrainingRun) -> None:
        self.objective.set_progress(run.progress)
        if run.done == round(_LATE * run.steps):
            self._settle(run)

    def after_step(self, run: TrainingRun) -> None:
        if run.done == run.steps:
            self._settle(run)

    def _settle(self, run: TrainingRun) -> None:
        """Decide gates by rank where the deployed network is not what was asked for."""
        share, (expected, reached) = self.objective.target.share, self.objective.shares()
        # What a prior shuts is to stay small: there little is expected to be open, too.
        fell = reached < _TOO_SMALL * min(share, expected) and expected > _TOO_SMALL * share
        far = reached > _TOO_LARGE * share or fell
        if self._missed is not None or not (far or reached > share) or reason_not_decided(run.guide):
            return
        if far:
            self._missed = expected, reached
        decide_by_rank(run, self.objective.target, everything=far)

    def columns(self, run: TrainingRun) -> Mapping[str, float]:
        return {"multiplier": float(self.objective.multiplier), "target": float(self.objective.asked)}

    def on_finish(self, fit: Any) -> None:
        if fit.restarts[-1].stopped != "finished":
            return
        target, (expected, reached) = self.objective.target, self.objective.shares()
        decided = ""
        if fit.decision is not None and self._missed is not None:
            expected, reached = self._missed
            decided = (
                f" after {fit.decision.step} steps, with gates undecided: {fit.decision.kept} of them, the "
                "most probable ones, were opened for certain and the others shut, which leaves "
                f"{self.objective.shares()[1]:.4f}"
            )
        if decided or reached > target.share + _TOLERANCE:
            warn_user(
                f"the deployed network has {reached:.4f} of the dense network's {target.kind} where "
                f"{target.share:g} was asked for (expected {expected:.4f}){decided}. Give it more steps, or "
                "a larger gate_lr so that gates can close in time",
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

    def state_dict(self, run: TrainingRun) -> dict[str, Any]:
        if run.decision is None:
            return {}
        return {"decision": dict(vars(run.decision)), "missed": list(self._missed or ())}

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        if state:
            missed = [float(share) for share in state["missed"]]
            self._missed = (missed[0], missed[1]) if missed else None
            run.decision = Decision(**state["decision"])

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
