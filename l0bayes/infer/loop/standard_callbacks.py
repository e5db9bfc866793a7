r"""The callbacks of a fit, in the order in which they are called."""

from __future__ import annotations

from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.callback_list import CallbackList
from l0bayes.infer.loop.checkpoint import Checkpoint
from l0bayes.infer.loop.collapse import CollapseGuard
from l0bayes.infer.loop.deployment_check import DeploymentCheck
from l0bayes.infer.loop.divergence import FiniteGuard
from l0bayes.infer.loop.fit_settings import FitSettings
from l0bayes.infer.loop.function_callback import FunctionCallback
from l0bayes.infer.loop.history_file import HistoryFile
from l0bayes.infer.loop.progress import ProgressBar
from l0bayes.infer.loop.records import CostColumns, HistoryRecords
from l0bayes.infer.loop.run_log import RunLog
from l0bayes.infer.loop.schedule_setter import ScheduleSetter
from l0bayes.infer.loop.sleeping import Sleeping
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.targets.cost_settling import CostSettling
from l0bayes.infer.targets.costs import costs_of
from l0bayes.infer.targets.forecast_warning import ForecastWarning

__all__ = ["standard_callbacks"]


def standard_callbacks(
    settings: FitSettings,
    objective: BoundELBO,
    traces: PairTraces,
    steering: Callback | None,
    shrinking: Callback | None,
    checkpoint: Checkpoint | None,
    data: Any,
    writes: bool,
) -> CallbackList:
    """The callbacks of a fit; the order is that of :class:`~l0bayes.infer.Callback`.

    Args:
        settings: The settings of the fit.
        objective: The ELBO with its model and guide.
        traces: One run of guide and model.
        steering: The target, where there is one.
        shrinking: The cut, where there is one.
        checkpoint: The checkpoint, where there is one.
        data: The data of the fit.
        writes: Whether this process writes files.
    """
    able = ModelAbilities(objective.model)
    targeted, target = steering is not None, settings.target
    assert not isinstance(target, str)  # it was read when the fit began
    costs = costs_of(objective.model, objective.guide) if targeted else able.costs
    could_shrink = able.shrinkable is not None and not settings.shrink and settings.restarts == 1
    found: list[Callback | None] = [
        ScheduleSetter(settings),
        # A cut that keeps what a target allows shuts the others, however far they came.
        None
        if settings.shrink and targeted
        else ForecastWarning(traces, settings.gate_rate, settings.rate_schedule, targeted),
        None if costs is None else CostColumns(costs),
        None if costs is None or target is None else CostSettling(costs, target.kind),
        steering,
        # At the end, when every unit is awake again: the end is called in reverse order.
        None if able.deployed is None else DeploymentCheck(able.deployed, data, targeted, could_shrink),
        # Whether values are finite is judged before anything acts on them.
        FiniteGuard(settings.lr, settings.gate_rate, data),
        CollapseGuard() if settings.guard_collapse else None,
        Sleeping(able.live) if settings.sleep and able.live is not None else None,
        shrinking,
        HistoryRecords(),
        RunLog(),
        None if settings.history_path is None or not writes else HistoryFile(settings.history_path),
        ProgressBar() if settings.progress else None,
        *settings.callbacks,
        # It takes the state of all callbacks above. The function below may change anything.
        checkpoint,
        None if settings.callback is None else FunctionCallback(settings.callback),
        settings.early_stopping,
    ]
    return CallbackList([callback for callback in found if callback is not None])
