r"""The search for a size as a callback: what is asked for falls, and units that have shut are left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.shrink.search_elbo import SearchELBO
from l0bayes.infer.targets.costs import activities
from l0bayes.infer.targets.target_steering import TargetWarning
from l0bayes.user_warnings import warn_user

__all__ = ["SearchSteering"]

# Part of the search after which the target itself is asked for, and the price settles.
_RAMP = 0.7
# Steps for which the slope of the expected cost is kept.
_EVERY = 4
# How often in a search units are looked for that need not be computed, and the probability of being open
# below which they are none any more.
_LOOKS, _SHUT = 16, 0.02


class SearchSteering(Callback):
    """Moves the share that is asked for during the search, and leaves out what has all but shut.

    Units that were left out are computed again before the cut, which decides about them as about all others.

    Args:
        objective: The objective of the search.
        model: The model: whether it can leave units out, and which are always computed.
    """

    def __init__(self, objective: SearchELBO, model: ModelAbilities) -> None:
        self.objective, self.live, self._keeps_one = objective, model.live, model.keeps_one
        self._looks = max(1, objective.steps // _LOOKS)

    def on_start(self, run: TrainingRun) -> None:
        self.objective.begin()

    def before_step(self, run: TrainingRun) -> None:
        if run.decision is not None:
            return
        self.objective.ask(min(1.0, run.done / (_RAMP * self.objective.steps)))
        if run.done % _EVERY == 0:
            self.objective.renew()
        if run.done >= self.objective.steps:
            self._wake()
        elif run.done % self._looks == 0:
            self._leave_out(run)

    def _leave_out(self, run: TrainingRun) -> None:
        if self.live is None:
            return
        active = {
            # A lone gate that nothing passes without is never left out.
            site: p.detach() if p.numel() == 1 and self._keeps_one(site, 1) else p.detach() * (p >= _SHUT)
            for site, p in activities(run.guide).items()
        }
        if self.live.sleep(active):
            run.gradient_step.forget()

    def _wake(self) -> None:
        if self.live is not None:
            self.live.wake()

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        if run.decision is None and self.live is not None and self.live.settle():
            run.gradient_step.forget()

    def on_end(self, run: TrainingRun) -> None:
        if run.decision is None:
            self._wake()
            run.gradient_step.forget()

    def columns(self, run: TrainingRun) -> Mapping[str, float]:
        price = 0.0 if run.decision is not None else float(self.objective.multiplier)
        return {"multiplier": price, "target": math.exp(float(self.objective.asked))}

    def on_finish(self, fit: Any) -> None:
        if fit.restarts[-1].stopped not in ("finished", "converged") or fit.decision is not None:
            return
        _, reached = self.objective.shares()
        if reached > self.objective.target.share:
            warn_user(
                f"the run ended before the network was cut, at {reached:.4f} of the dense network's "
                f"{self.objective.target.kind} where {self.objective.target.share:g} was asked for",
                TargetWarning,
            )
