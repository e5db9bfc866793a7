r"""The pruning forecast as a callback: a warning before the first step."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.schedules import Schedule
from l0bayes.infer.targets.forecast import (
    GatesAtStart,
    PruningForecast,
    forecast_of_gates,
    gates_at_start,
)

__all__ = ["ForecastWarning"]


class ForecastWarning(Callback):
    """Warns where no gate of a site can close in the run as it is set up.

    Args:
        traces: One run of guide and model, before training.
        gate_lr: Learning rate of the gates.
        lr_schedule: Factor on it over progress.
        targeted: Whether a target pushes the gates shut; there is no forecast for it with SGD.
    """

    def __init__(self, traces: PairTraces, gate_lr: float, lr_schedule: Schedule, targeted: bool) -> None:
        # The gates alone: a network's activations are in the traces.
        self._gates: Mapping[str, GatesAtStart] | None = gates_at_start(traces, targeted)
        self.gate_lr = gate_lr
        self.lr_schedule = lr_schedule
        self.targeted = targeted

    def on_start(self, run: TrainingRun) -> None:
        if self._gates is None:  # restarts start like the first run
            return
        forecast = self._forecast(run, self._gates)
        self._gates = None
        if forecast is not None:
            forecast.warn()

    def _forecast(self, run: TrainingRun, gates: Mapping[str, GatesAtStart]) -> PruningForecast | None:
        """The forecast for SGD and for optimisers of Adam's family; others have none."""
        momentum = 0.0
        if isinstance(run.optimizer, torch.optim.SGD):
            momentum = max(float(group.get("momentum", 0.0)) for group in run.optimizer.param_groups)
            if self.targeted or not momentum < 1.0:
                return None
        elif "adam" not in type(run.optimizer).__name__.lower():
            return None
        return forecast_of_gates(
            run.guide,
            gates,
            steps=run.steps,
            gate_lr=self.gate_lr,
            lr_schedule=self.lr_schedule,
            optimizer="sgd" if isinstance(run.optimizer, torch.optim.SGD) else "adam",
            momentum=momentum,
        )
