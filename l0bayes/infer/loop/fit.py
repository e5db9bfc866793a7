r"""Fit any Pyro model and guide."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import pyro
import torch

from l0bayes.infer.loop.checkpoint import Checkpointer
from l0bayes.infer.loop.early_stopping import EarlyStopping
from l0bayes.infer.loop.fit_result import Fit, History, Restart, best_run
from l0bayes.infer.loop.gate_readings import read_gates
from l0bayes.infer.loop.preflight import check_data, first_batch, preflight
from l0bayes.infer.loop.training import DivergenceError, OptimizerFactory, Plan, Record, train
from l0bayes.infer.objectives.compiled import CompileMode, GradientStep
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.gate_parts import temperatures
from l0bayes.infer.objectives.objective import describe_objective
from l0bayes.infer.objectives.per_example import check_per_example
from l0bayes.infer.objectives.score_elbo import ScoreELBO, elbo_of
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.schedules import Linear, Schedule, as_schedule
from l0bayes.infer.targets.costs import CostedModel
from l0bayes.infer.targets.forecast import forecast_of_optimizer
from l0bayes.infer.targets.target import Target, TargetELBO, as_target, count_observations

__all__ = ["fit"]

# From where on the half minute that Inductor takes is won back; below, the captured graph is run as is.
_INDUCTOR_WORK = 2_000_000_000
_INDUCTOR_STEPS = 50_000


def fit(
    model: Callable[..., Any],
    guide: torch.nn.Module,
    data: Any = (),
    *,
    steps: int | None = None,
    epochs: int | None = None,
    lr: float = 0.01,
    gate_lr: float | None = None,
    lr_schedule: float | Schedule | None = None,
    temperature: float | Schedule | None = None,
    kl_weight: float | Schedule = 1.0,
    num_particles: int = 1,
    optimizer: OptimizerFactory | None = None,
    early_stopping: EarlyStopping | None = None,
    restarts: int = 1,
    seed: int = 0,
    compile: CompileMode | Literal["auto"] = "auto",  # noqa: A002 - the word torch uses
    log_every: int | None = None,
    target: str | Target | None = None,
    guard_collapse: bool | None = None,
    per_example_gates: bool = False,
    sleep: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 60.0,
    resume: bool = False,
    progress: bool = True,
    callback: Callable[[History], None] | None = None,
) -> Fit:
    r"""Maximise the ELBO of a model and guide by stochastic gradients.

    The guide is trained in place, on the objective that it asks for by a method ``objective``, or else on
    :class:`~l0bayes.infer.MeanFieldELBO`. Everything is checked before the first step: data, priors, shapes,
    that the guide covers the model and that every KL exists. Random numbers follow ``seed`` alone and
    the global generator is left as it was. Interrupting (Ctrl-C) returns what was reached.

    Args:
        model: A Pyro model, a function or a module (whose parameters are trained along).
        guide: A guide that is a module, such as :class:`~l0bayes.guides.AutoHardConcrete` or any Pyro
            autoguide.
        data: The model's positional arguments as a tuple, or a ``DataLoader`` (any iterable that can
            be iterated anew) of such tuples.
        steps: Number of optimiser steps; default 2000. Not together with ``epochs``.
        epochs: Number of passes over the loader.
        lr: Learning rate of slabs, other latents and the model's parameters.
        gate_lr: Learning rate of the gates, in logits; by default 10 times ``lr``, since gates that
            move as slowly as weights do not decide.
        lr_schedule: Factor on both rates over progress; by default 1 for the first half, then
            linearly to 0.01.
        temperature: Temperature of the guide's gates, a number or a schedule; default: as the guide
            has it.
        kl_weight: Weight of all KL terms, a number or a schedule; 1 is the bound.
        num_particles: Draws a step; sets of draws for a guide that asks for several, such as
            :class:`~l0bayes.guides.AutoJointGates`.
        optimizer: From parameter groups to an optimiser; default fused Adam.
        early_stopping: When to stop before the last step.
        restarts: Number of independent runs; all but the first start from perturbed parameters. The
            given guide ends as the best of them.
        seed: Seed of the first run; the others take the next integers.
        compile: ``"inductor"``, ``"graph"``, ``"eager"`` (see :class:`~l0bayes.infer.GradientStep`), or
            ``"auto"``: Inductor for long runs, where its compile time is won back, else the captured
            graph.
        log_every: Steps between records of the history; by default about 200 records a run.
        target: What the deployed network may cost, as a share of the dense network:
            ``"units:0.2"`` for the number of open gates, ``"macs:0.1"`` for a model that knows its
            multiply-accumulates, or a :class:`~l0bayes.infer.Target`. The penalty that it takes is found
            during training; see :class:`~l0bayes.infer.TargetELBO`. A gate prior that does not push by
            itself, ``L0Penalty(0)`` or ``Gate(0.5)``, goes with it.
        guard_collapse: Whether a site of several gates gets its most probable one back, with a
            :class:`~l0bayes.infer.CollapseWarning`, when all have shut; looked at whenever a record is
            made. By default it is so for a :class:`~l0bayes.infer.CostedModel`; in a regression all may
            rightly shut.
        per_example_gates: Draw every gate once for each example; see
            :class:`~l0bayes.infer.MeanFieldELBO`.
        sleep: Leave units out of the computation once their gates have all but shut, for models that can
            (:class:`~l0bayes.models.SparseNetwork`): training takes less and less time the smaller the
            network becomes. Graphs are captured anew a few times; Inductor would compile each time, so that
            ``"auto"`` takes the captured graph.
        checkpoint: File to keep the state of the run in, with one run only. It is written at records, at
            most every ``checkpoint_every`` seconds, and when the run ends, is interrupted or diverges.
        checkpoint_every: Seconds between two writes.
        resume: Go on from ``checkpoint`` where that file exists. The result is that of a run without
            interruption, bit for bit on the same machine, for a tuple of tensors and for
            :class:`~l0bayes.infer.Minibatches`; a loader that shuffles has another order.
        progress: Whether to show a progress bar.
        callback: Called with the history after each record.

    Returns:
        The fit; see :class:`~l0bayes.infer.Fit`.

    Raises:
        ValueError: If an argument is outside its range, data are empty or not finite, or the guide
            does not cover the model.
        TypeError: If an argument is of a type that is not accepted.
        NotImplementedError: If a KL is missing.
        DivergenceError: If the objective or its gradient becomes NaN or infinite; its ``fit`` holds what
            was reached.
        CheckpointError: If ``resume`` finds a file of another run.

    Warns:
        PruningWarning: If no gate of a site can close in the run as it is set up; see
            :func:`~l0bayes.infer.pruning_forecast`.
        TargetWarning: If the deployed network ended above its target.

    Example::

        fit = l0bayes.fit(model, guide, (x, y), steps=3000, temperature=Geometric(0.67, 0.1))
    """
    started = time.perf_counter()
    _check_numbers(lr=lr, gate_lr=gate_lr)
    _check_checkpoint(checkpoint, checkpoint_every, resume, restarts)
    _check_counts(restarts=restarts, log_every=log_every, steps=steps, epochs=epochs)
    if compile not in ("auto", *get_args(CompileMode)):
        raise ValueError(f"compile must be auto, {', '.join(get_args(CompileMode))}; got {compile!r}")
    if not isinstance(guide, torch.nn.Module):
        raise TypeError(
            f"guide must be a module, such as AutoHardConcrete; got {type(guide).__name__}. A guide function "
            "with pyro.param is trained by pyro.infer.SVI(..., loss=MeanFieldELBO())"
        )
    if restarts > 1 and not hasattr(guide, "perturb"):
        raise ValueError(
            f"restarts={restarts} needs a guide with perturb(), which {type(guide).__name__} lacks"
        )
    with private_randomness():  # a loader that shuffles draws
        batch = first_batch(data)
    check_data(model, batch)
    if hasattr(model, "check_data"):  # a model that knows which data it can observe, all of them
        model.check_data(*(data if isinstance(data, tuple) else getattr(data, "tensors", batch)))
    total = _total_steps(steps, epochs, data)
    plan = Plan(
        steps=total,
        lr=lr,
        gate_lr=10.0 * lr if gate_lr is None else gate_lr,
        lr_schedule=Linear(1.0, 0.01, begin=0.5) if lr_schedule is None else _weight(lr_schedule=lr_schedule),
        temperature=_temperature(temperature, guide),
        kl_weight=_weight(kl_weight=kl_weight),
        optimizer=optimizer,
        early_stopping=early_stopping,
        log_every=log_every or max(1, total // 200),
        progress=progress,
        callback=callback,
        guard_collapse=isinstance(model, CostedModel) if guard_collapse is None else guard_collapse,
        resume=resume,
        sleep=sleep,
    )
    if sleep and not hasattr(model, "sleep"):
        raise ValueError(
            f"sleep=True needs a model that can, such as SparseNetwork; got {type(model).__name__}"
        )
    if per_example_gates:
        check_per_example(model)
    elbo = elbo_of(guide, num_particles, per_example_gates)
    if target is not None and isinstance(elbo, ScoreELBO):
        raise ValueError(f"target={target!r} needs a guide with independent gates, which this one's are not")
    objective = elbo(model, guide)
    with private_randomness(seed):
        _make_lazy_parameters(guide, batch)
        preflight(objective, batch)
        described = describe_objective(model, guide, batch)
        if target is not None:
            target = as_target(target, model, guide)
            observations = count_observations(model, guide, batch)
            objective = TargetELBO(
                model, guide, elbo, target, steps=total, gate_lr=plan.gate_lr, observations=observations
            )
    mode = "graph" if sleep and compile == "auto" else _mode(compile, objective, total * restarts)
    step = GradientStep(objective, mode)
    if checkpoint is not None:
        settings = {"steps": total, "seed": seed, "target": None if target is None else str(target)}
        plan = replace(plan, checkpoint=Checkpointer(checkpoint, checkpoint_every, settings))
    plan = replace(plan, inspect=_forecaster(model, guide, batch, plan, target is not None))
    config = {
        "steps": total,
        "lr": plan.lr,
        "gate_lr": plan.gate_lr,
        "lr_schedule": repr(plan.lr_schedule),
        "temperature": repr(plan.temperature) if plan.temperature is not None else None,
        "kl_weight": repr(plan.kl_weight),
        "num_particles": num_particles,
        "optimizer": "Adam" if optimizer is None else repr(optimizer),
        "early_stopping": repr(early_stopping),
        "restarts": restarts,
        "seed": seed,
        "target": None if target is None else str(target),
        "guard_collapse": plan.guard_collapse,
        "per_example_gates": per_example_gates,
        "sleep": sleep,
        "torch": str(torch.__version__),
        "pyro": pyro.__version__,
    }
    runs = _Runs(objective, step, data, plan, restarts, seed)

    def result() -> Fit:
        seconds = time.perf_counter() - started
        total_gates = read_gates(guide).total
        return Fit(runs.done, described, config, data, total_gates, seconds, step.mode)

    try:
        runs.run()
    except DivergenceError as error:
        error.fit = result()
        raise
    if isinstance(objective, TargetELBO) and runs.done[-1].stopped == "finished":
        objective.warn_if_missed()
    return result()


class _Runs:
    """The independent runs of a fit; ``done`` grows as they end, whatever ends them."""

    def __init__(
        self, objective: BoundELBO, step: GradientStep, data: Any, plan: Plan, restarts: int, seed: int
    ) -> None:
        self.objective, self.step, self.data, self.plan = objective, step, data, plan
        self.seeds = range(seed, seed + restarts)
        self.done: list[Restart] = []

    def run(self) -> None:
        start = copy.deepcopy(self.objective.state_dict()) if len(self.seeds) > 1 else {}
        try:
            for index, seed in enumerate(self.seeds):
                if index:
                    self.objective.load_state_dict(start)
                    self.objective.guide.perturb(seed)
                with private_randomness(seed):
                    self._run_one(index, seed)
                if self.done[-1].stopped == "interrupted":
                    break
        finally:
            if len(self.done) > 1:
                self._keep_best()

    def _run_one(self, index: int, seed: int) -> None:
        label = "training" if len(self.seeds) == 1 else f"restart {index + 1} of {len(self.seeds)}"
        record, started, stopped = Record(), time.perf_counter(), "diverged"
        plan = self.plan if index == 0 else replace(self.plan, inspect=None)
        try:
            stopped = train(self.objective, self.step, self.data, plan, record, label)
        finally:
            model, guide = self.objective.model, self.objective.guide
            if plan.sleep:
                model.wake()
            if len(self.seeds) > 1:  # the next run starts in the same module
                guide = copy.deepcopy(guide)
                model = copy.deepcopy(model) if isinstance(model, torch.nn.Module) else model
            seconds = time.perf_counter() - started
            run = Restart(guide, model, record.history, seed, seconds, stopped, record.collapsed)
            self.done.append(run)

    def _keep_best(self) -> None:
        best = best_run(self.done)
        self.objective.guide.load_state_dict(best.guide.state_dict())
        if isinstance(best.model, torch.nn.Module):
            self.objective.model.load_state_dict(best.model.state_dict())


def _check_numbers(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive, got {value!r}")


def _check_checkpoint(path: str | os.PathLike[str] | None, every: float, resume: bool, restarts: int) -> None:
    if not every >= 0:
        raise ValueError(f"checkpoint_every must not be negative, got {every!r}")
    if path is None and resume:
        raise ValueError("resume=True needs a file to go on from; give checkpoint")
    if path is None:
        return
    if restarts > 1:
        raise ValueError(f"checkpoint keeps the state of one run; got restarts={restarts}")
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise ValueError(f"checkpoint must stand in a folder that exists; {folder} does not")


def _forecaster(
    model: Any, guide: Any, batch: tuple[Any, ...], plan: Plan, targeted: bool
) -> Callable[[torch.optim.Optimizer], None]:
    def inspect(optimizer: torch.optim.Optimizer) -> None:
        forecast = forecast_of_optimizer(
            model,
            guide,
            batch,
            optimizer,
            steps=plan.steps,
            gate_lr=plan.gate_lr,
            lr_schedule=plan.lr_schedule,
            targeted=targeted,
        )
        if forecast is not None:
            forecast.warn()

    return inspect


def _check_counts(**values: int | None) -> None:
    for name, value in values.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value!r}")


def _total_steps(steps: int | None, epochs: int | None, data: Any) -> int:
    if steps is not None and epochs is not None:
        raise ValueError("give steps or epochs, not both")
    if epochs is not None:
        if isinstance(data, tuple | torch.Tensor):
            raise ValueError("epochs counts passes over a loader; with full data give steps")
        try:
            batches = len(data)
        except TypeError:
            raise ValueError(
                f"epochs needs data with a length, which this {type(data).__name__} lacks; give steps"
            ) from None
        return epochs * batches
    return 2000 if steps is None else steps


def _temperature(value: float | Schedule | None, guide: torch.nn.Module) -> Schedule | None:
    if value is None:
        return None
    if not temperatures(guide):
        raise ValueError(f"temperature is given, but {type(guide).__name__} has no temperature")
    schedule = as_schedule(value)
    for at in (0.0, 0.5, 1.0):
        if not schedule(at) > 0:
            raise ValueError(f"temperature must be positive, got {schedule(at)!r} at progress {at}")
    return schedule


def _weight(**named: float | Schedule) -> Schedule:
    ((name, value),) = named.items()
    schedule = as_schedule(value)
    for at in (0.0, 0.5, 1.0):
        if not schedule(at) >= 0:
            raise ValueError(f"{name} must not be negative, got {schedule(at)!r} at progress {at}")
    return schedule


def _make_lazy_parameters(guide: torch.nn.Module, batch: tuple[Any, ...]) -> None:
    """Pyro's own autoguides make their parameters when they first run."""
    with torch.no_grad(), pyro.get_param_store().scope():
        guide(*batch)


def _mode(wanted: str, objective: BoundELBO, steps: int) -> CompileMode:
    if wanted != "auto":
        return cast(CompileMode, wanted)
    size = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    return "inductor" if size * steps > _INDUCTOR_WORK or steps > _INDUCTOR_STEPS else "graph"
