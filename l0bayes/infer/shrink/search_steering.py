r"""The search for a size as a callback: what is asked for falls, and is judged at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.shrink.search_elbo import SearchELBO
from l0bayes.infer.targets.target_steering import TargetWarning
from l0bayes.user_warnings import warn_user

__all__ = ["SearchSteering"]

# Part of the search after which the target itself is asked for, and the price settles.
_RAMP = 0.7
# Steps for which the slope of the expected cost is kept.
_EVERY = 4


class SearchSteering(Callback):
    """Moves the share that is asked for during the search.

    Args:
        objective: The objective of the search.
    """

    def __init__(self, objective: SearchELBO) -> None:
        self.objective = objective

    def on_start(self, run: TrainingRun) -> None:
        self.objective.begin()

    def before_step(self, run: TrainingRun) -> None:
        if run.decision is None:
            self.objective.ask(min(1.0, run.done / (_RAMP * self.objective.steps)))
            if run.done % _EVERY == 0:
                self.objective.renew()

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
