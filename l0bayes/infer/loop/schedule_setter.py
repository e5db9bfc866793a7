r"""Learning rates, KL weight and temperature at every step."""

from __future__ import annotations

from torch import Tensor

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.loop.fit_settings import FitSettings
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.gate_parts import temperatures

__all__ = ["ScheduleSetter"]


class ScheduleSetter(Callback):
    """Sets learning rates, KL weight and temperature to their schedules before each step.

    Args:
        settings: The settings of the fit.
    """

    def __init__(self, settings: FitSettings) -> None:
        self._of_rate = settings.rate_schedule
        self._of_kl = settings.kl_schedule
        self._of_heat = settings.heat_schedule
        self._heat: list[Tensor] = []
        self._objective: BoundELBO | None = None

    def on_start(self, run: TrainingRun) -> None:
        self._objective, self._heat = run.objective, temperatures(run.guide)

    def before_step(self, run: TrainingRun) -> None:
        progress = run.progress
        scale = self._of_rate(progress)
        for group in run.optimizer.param_groups:  # whose rates are at their start in a new optimiser
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * scale
        run.objective.kl_weight.fill_(self._of_kl(progress))
        if self._of_heat is not None:
            if run.objective is not self._objective:  # or what is left of it
                self._objective, self._heat = run.objective, temperatures(run.objective.guide)
            for temperature in self._heat:
                temperature.fill_(self._of_heat(progress))
