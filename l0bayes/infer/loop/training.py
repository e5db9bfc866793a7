r"""One training run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.optim import Optimizer

from l0bayes.infer.loop.batches import Minibatches
from l0bayes.infer.loop.checkpoint import Checkpointer
from l0bayes.infer.loop.collapse import most_open, reopen_collapsed
from l0bayes.infer.loop.early_stopping import EarlyStopping
from l0bayes.infer.loop.fit_result import History
from l0bayes.infer.loop.gate_readings import further_columns, read_gates
from l0bayes.infer.loop.preflight import as_arguments
from l0bayes.infer.loop.progress import TrainingProgress
from l0bayes.infer.objectives.compiled import GradientStep
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.gate_parts import gate_parameters, temperatures
from l0bayes.infer.schedules import Schedule
from l0bayes.infer.targets.costs import activities
from l0bayes.infer.targets.target import TargetELBO

__all__ = ["DivergenceError", "OptimizerFactory", "Plan", "Record", "train"]

OptimizerFactory = Callable[[list[dict[str, Any]]], Optimizer]


class DivergenceError(FloatingPointError):
    """The objective or its gradient became NaN or infinite; the last finite record was put back.

    Args:
        message: What happened and what to try.

    Attributes:
        fit: What was fitted up to then, set by :func:`l0bayes.fit`.
    """

    fit: Any = None

    def __init__(self, message: str) -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Plan:
    """The settings of a run.

    Args:
        steps: Number of optimiser steps.
        lr: Learning rate of everything but the gates.
        gate_lr: Learning rate of the gates.
        lr_schedule: Factor on both rates.
        temperature: Temperature of the gates; ``None`` to leave the guide's.
        kl_weight: Weight of the KL.
        optimizer: From parameter groups to an optimiser; ``None`` for fused Adam.
        early_stopping: When to stop before the last step.
        log_every: Steps between records.
        progress: Whether to show a progress bar.
        callback: Called with the history after each record.
        guard_collapse: Whether a site whose gates have all shut gets one back.
        checkpoint: Where the state of the run is kept.
        resume: Whether to go on from the checkpoint's file.
        inspect: Called once with the optimiser, before the first step.
        sleep: Whether the model leaves out what gates that have all but shut would multiply by 0.
    """

    steps: int
    lr: float
    gate_lr: float
    lr_schedule: Schedule
    temperature: Schedule | None
    kl_weight: Schedule
    optimizer: OptimizerFactory | None
    early_stopping: EarlyStopping | None
    log_every: int
    progress: bool
    callback: Callable[[History], None] | None
    guard_collapse: bool = False
    checkpoint: Checkpointer | None = None
    resume: bool = False
    inspect: Callable[[Optimizer], None] | None = None
    sleep: bool = False


@dataclass
class Record:
    """What is written down of a run, as it goes.

    Attributes:
        history: The history.
        collapsed: Gate site to the step at which all its gates had shut.
    """

    history: History = field(default_factory=History)
    collapsed: dict[str, int] = field(default_factory=dict)


def batches(data: Any, done: int = 0) -> Iterator[tuple[Any, ...]]:
    """Model arguments without end: the same tuple again and again, or epoch after epoch of a loader.

    Args:
        data: A tuple of arguments or an iterable of batches.
        done: Number of batches to leave out, as they were before an interruption. A loader that shuffles
            by itself has another order by then; :class:`~l0bayes.infer.Minibatches` has the same.
    """
    if isinstance(data, Tensor | tuple):
        arguments = data if isinstance(data, tuple) else (data,)
        while True:
            yield arguments
    if isinstance(data, Minibatches):
        first, start = divmod(done, len(data))
        yield from data.epoch(first, start)
        for epoch in itertools.count(first + 1):
            yield from data.epoch(epoch)
    if done:
        yield from (as_arguments(batch) for batch in itertools.islice(data, done % _length(data), None))
    while True:
        for batch in data:
            yield as_arguments(batch)


def _length(data: Any) -> int:
    try:
        return len(data)
    except TypeError:
        raise ValueError(
            f"resume needs data with a length, to find the place in the epoch, which this "
            f"{type(data).__name__} lacks; use l0bayes.infer.Minibatches"
        ) from None


def make_optimizer(objective: BoundELBO, plan: Plan) -> Optimizer:
    """The optimiser with gates and everything else as two groups.

    Raises:
        ValueError: If there is nothing to train.
    """
    gates = gate_parameters(objective.guide)
    gate_ids = {id(parameter) for parameter in gates}
    others = [p for p in objective.parameters() if p.requires_grad and id(p) not in gate_ids]
    groups = [{"params": others, "lr": plan.lr}, {"params": gates, "lr": plan.gate_lr}]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("guide and model hold no trainable parameter")
    if plan.optimizer is not None:
        return plan.optimizer(groups)
    return torch.optim.Adam(groups, fused=True)


def train(objective: BoundELBO, step: GradientStep, data: Any, plan: Plan, record: Record, label: str) -> str:
    """Run the optimisation, filling ``record``.

    Args:
        objective: The ELBO with its model and guide.
        step: Its gradient step.
        data: A tuple of arguments or an iterable of batches.
        plan: The settings.
        record: Filled in place, so that it survives an interruption.
        label: Label of the progress bar.

    Returns:
        Why it ended: ``"finished"``, ``"converged"`` or ``"interrupted"``.

    Raises:
        DivergenceError: If the objective or its gradient becomes NaN or infinite. Parameters are put
            back to the last finite record.
        CheckpointError: If the checkpoint's file is of another run.
    """
    optimizer = make_optimizer(objective, plan)
    if plan.inspect is not None:
        plan.inspect(optimizer)
    if isinstance(objective, TargetELBO):
        objective.begin()
    history, checkpoint, begin = record.history, plan.checkpoint, 0
    start = most_open(objective.guide)
    base_rates = [group["lr"] for group in optimizer.param_groups]
    if checkpoint is not None and plan.resume and checkpoint.path.exists():
        begin = checkpoint.load(objective, optimizer, history, record.collapsed)
    if plan.sleep and objective.model.settle():
        step.forget()
    heat = temperatures(objective.guide)
    safe = _snapshot(objective)
    pending: list[Tensor] = []
    progresses = [done / plan.steps for done in history.step]
    if (ended := _ends(plan, history, progresses)) is not None:  # it had ended when it was kept
        return ended
    bar = TrainingProgress(plan.steps, label, read_gates(objective.guide).total, plan.progress)
    try:
        with bar:
            for done, batch in enumerate(batches(data, begin), begin):
                _set_schedules(objective, optimizer, plan, base_rates, heat, done / plan.steps)
                with pyro.validation_enabled(False):  # it has passed once; from here on NaN ends the run
                    _, likelihood, kl = step(batch)
                optimizer.step()
                pending.append(torch.stack([likelihood, kl]))
                if (done + 1) % plan.log_every and done + 1 < plan.steps:
                    continue
                mean_likelihood, mean_kl = torch.stack(pending).double().mean(0).tolist()
                pending.clear()
                elbo = mean_likelihood - mean_kl
                if not (math.isfinite(elbo) and _all_finite(_snapshot(objective))):
                    _restore(objective, safe)
                    what = "a gradient" if math.isfinite(elbo) else "the objective"
                    raise DivergenceError(
                        f"{what} became {'NaN or infinite' if math.isfinite(elbo) else elbo} before step "
                        f"{done + 1}; parameters were put back to the last finite record. Try a smaller lr "
                        f"(now {plan.lr}) or gate_lr (now {plan.gate_lr}), and check the priors' scales"
                    )
                if plan.guard_collapse:
                    reopen_collapsed(objective.guide, start, record.collapsed, done + 1)
                if plan.sleep and objective.model.sleep(activities(objective.guide)):
                    step.forget()
                safe = _snapshot(objective)
                reading = read_gates(objective.guide)
                history.append(
                    further_columns(objective),
                    step=done + 1,
                    elbo=elbo,
                    log_likelihood=mean_likelihood,
                    kl=mean_kl,
                    expected_l0=reading.expected,
                    deployed_l0=reading.deployed,
                    temperature=float(heat[0]) if heat else math.nan,
                    kl_weight=float(objective.kl_weight),
                )
                progresses.append((done + 1) / plan.steps)
                bar.update(done + 1, elbo, reading.expected, reading.deployed)
                if checkpoint is not None:
                    checkpoint.keep(objective, optimizer, history, done + 1, record.collapsed)
                if plan.callback is not None:
                    plan.callback(history)
                if (ended := _ends(plan, history, progresses)) is not None:
                    return ended
    except KeyboardInterrupt:
        return "interrupted"
    finally:
        if checkpoint is not None:
            checkpoint.write()
    raise AssertionError("the stream of batches ended")  # it has no end


def _set_schedules(
    objective: BoundELBO,
    optimizer: Optimizer,
    plan: Plan,
    base_rates: list[float],
    heat: list[Tensor],
    progress: float,
) -> None:
    scale = plan.lr_schedule(progress)
    for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
        group["lr"] = rate * scale
    objective.kl_weight.fill_(plan.kl_weight(progress))
    if plan.temperature is not None:
        for temperature in heat:
            temperature.fill_(plan.temperature(progress))
    if isinstance(objective, TargetELBO):
        objective.set_progress(progress)


def _ends(plan: Plan, history: History, progresses: list[float]) -> str | None:
    if plan.early_stopping and plan.early_stopping.should_stop(history.elbo, progresses):
        return "converged"
    return "finished" if progresses and progresses[-1] >= 1.0 else None


def _snapshot(objective: BoundELBO) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in objective.parameters()]


def _all_finite(values: list[Tensor]) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in values)


@torch.no_grad()
def _restore(objective: BoundELBO, values: list[Tensor]) -> None:
    for parameter, value in zip(objective.parameters(), values, strict=True):
        parameter.copy_(value)
