r"""Fit any Pyro model and guide."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any, Unpack

import torch
from torch.utils.data import DataLoader

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.first_run import explained_run
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.loop.batch_stream import first_batch, rows_of_smallest_batch
from l0bayes.infer.loop.checkpoint import Checkpoint
from l0bayes.infer.loop.divergence import DivergenceError
from l0bayes.infer.loop.fit_keywords import FitKeywords
from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.loop.fit_settings import FitSettings
from l0bayes.infer.loop.gate_readings import read_gates
from l0bayes.infer.loop.num_data import tell_num_data
from l0bayes.infer.loop.optimizers import make_optimizer
from l0bayes.infer.loop.preflight import check_data, preflight
from l0bayes.infer.loop.restarts import Restarts
from l0bayes.infer.loop.run_identity import run_identity
from l0bayes.infer.loop.shared_data import counts_all, refuse_measured, share_of
from l0bayes.infer.loop.single_row import check_single_row, explained_single_row
from l0bayes.infer.loop.standard_callbacks import standard_callbacks
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.model_arguments import ModelArguments, as_arguments
from l0bayes.infer.objectives.compiled import CompileMode, GradientStep
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.objective import describe_traces
from l0bayes.infer.objectives.per_example import check_per_example
from l0bayes.infer.objectives.score_elbo import elbo_of
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.ranks.launch import ranks_of, refuse_wrapped
from l0bayes.infer.shrink.shrinking_run import check_shrinkable, shrinking_run
from l0bayes.infer.targets.observations import num_observations
from l0bayes.infer.targets.rounding_check import check_rounding
from l0bayes.infer.targets.target import as_target
from l0bayes.infer.targets.target_elbo import TargetELBO
from l0bayes.infer.targets.target_steering import TargetSteering

__all__ = ["fit"]

# From where on the half minute that Inductor takes is won back; below, the captured graph is run as is.
_INDUCTOR_WORK = 2_000_000_000
_INDUCTOR_STEPS = 50_000


def fit(
    model: Callable[..., Any],
    guide: torch.nn.Module,
    data: Any = (),
    *,
    kwargs: Mapping[str, Any] | None = None,
    settings: FitSettings | None = None,
    **keywords: Unpack[FitKeywords],
) -> Fit:
    r"""Maximise the ELBO of a model and guide by stochastic gradients.

    The guide is trained in place, on the objective that it asks for by a method ``objective``, or else on
    :class:`~l0bayes.infer.MeanFieldELBO`. Everything is checked before the first step: data, priors, shapes,
    that the guide covers the model and that every KL exists. The checks run the model once, and capturing it
    as a graph runs it once more. Random numbers follow ``seed`` alone and the global generator is left as it
    was. Interrupting (Ctrl-C) returns the state that was reached.

    Args:
        model: A Pyro model, a function or a module (whose parameters are trained along).
        guide: A guide that is a module, such as :class:`~l0bayes.guides.AutoHardConcrete` or any Pyro
            autoguide.
        data: The model's positional arguments as a tuple, or a tensor or dictionary that is the only one; or
            a ``DataLoader`` (any iterable that can be iterated anew) of these.
        kwargs: The model's keyword arguments, the same at every step; a captured graph fixes them.
        settings: All settings in one object; by default those of ``FitSettings()``.
        **keywords: Single settings, by the names and defaults of :class:`~l0bayes.infer.FitSettings`, where
            each is described: ``steps``, ``epochs``, ``lr``, ``gate_lr``, ``lr_schedule``, ``temperature``,
            ``kl_weight``, ``num_particles``, ``optimizer``, ``early_stopping``, ``restarts``, ``seed``,
            ``compile``, ``log_every``, ``target``, ``guard_collapse``, ``per_example_gates``, ``sleep``,
            ``shrink``, ``search_share``, ``round_to``, ``checkpoint``, ``checkpoint_every``, ``resume``,
            ``history_file``, ``distributed``, ``progress``, ``callback``, ``callbacks``. They go before
            ``settings``.

    Returns:
        The fit; see :class:`~l0bayes.infer.Fit`.

    Raises:
        ValueError: If an argument is outside its range, data are empty, or not finite where the model does
            not mask them, the guide does not cover the model, or an observed value does not have the shape
            of its law.
        TypeError: If an argument is of a type that is not accepted, or unknown.
        NotImplementedError: If a KL is missing.
        DivergenceError: If the objective or its gradient becomes NaN or infinite; its ``fit`` holds the
            state that was reached.
        CheckpointError: If ``resume`` finds a file of another run.

    Warns:
        UnobservedModelWarning: If the model observes nothing, as where ``obs=`` was forgotten.
        PruningWarning: If no gate of a site can close in the run as it is set up; see
            :func:`~l0bayes.infer.pruning_forecast`.
        TargetWarning: If the deployed network ended above its target, or much smaller than it had to be.
        DeploymentWarning: If the deployed network predicts much worse than what was trained.

    Example::

        fit = l0bayes.fit(model, guide, (x, y), steps=3000, temperature=Geometric(0.67, 0.1))
    """
    started = time.perf_counter()
    settings = _settings(settings, keywords)
    refuse_wrapped(model, guide)
    ranks = ranks_of(settings.distributed, guide)
    data = share_of(data, ranks)
    if ranks.count > 1 and settings.target is not None:
        refuse_measured(settings.target)
    if isinstance(data, Mapping):
        data = as_arguments(data)
    with private_randomness():  # a loader that shuffles draws
        batch = first_batch(data)
    keywords_of_model = ModelArguments.of(batch, kwargs).kwargs
    tell_num_data(model, data, ranks)
    with explained_run(model, batch, keywords_of_model):
        settings, complaints = _check(settings, model, guide, data, ModelArguments(batch, keywords_of_model))
    elbo = elbo_of(guide, settings.num_particles, settings.per_example_gates)
    if settings.target is not None and not elbo.independent_gates:
        raise ValueError(
            f"target={settings.target!r} needs a guide with independent gates, which this one's are not"
        )
    objective = elbo(model, guide, keywords_of_model)
    steering: Callback | None = None
    shrinking: Callback | None = None
    with private_randomness(settings.seed):
        with explained_run(model, batch, keywords_of_model):
            traces = preflight(objective, batch, complaints)
        described = describe_traces(traces)
        if settings.shrink:  # says what is wrong with the gates before any target is judged
            check_shrinkable(elbo, model, guide)
        target = None if settings.target is None else as_target(settings.target, model, guide)
        settings = replace(settings, target=target)
        if target is not None and settings.round_to is not None:
            check_rounding(model, guide, target, settings.round_to)
        if settings.shrink:
            objective, steering, shrinking = shrinking_run(
                elbo,
                model,
                guide,
                traces,
                batch,
                keywords_of_model,
                target=target,
                round_to=settings.round_to,
                search=settings.search_steps,
                gate_rate=settings.gate_rate,
                steps=settings.total_steps,
                auto=settings.compile == "auto",
                optimizer_of=partial(make_optimizer, settings=settings),
            )
        elif target is not None:
            objective = TargetELBO(
                model,
                guide,
                elbo,
                target,
                steps=settings.total_steps,
                gate_lr=settings.gate_rate,
                observations=num_observations(traces),
                keywords=keywords_of_model,
            )
            steering = TargetSteering(objective)
    step = GradientStep(objective, _mode(settings, objective))
    checkpoint = None
    if settings.checkpoint is not None:
        whole = data if ranks.count == 1 or counts_all(data) else None
        identity = run_identity(objective, traces, batch, whole)
        checkpoint = Checkpoint(settings.checkpoint, settings.checkpoint_every, ranks.writes, identity)
    settings = replace(settings, progress=settings.progress and ranks.writes)
    callbacks = standard_callbacks(
        settings, objective, traces, steering, shrinking, checkpoint, data, ranks.writes
    )
    del traces  # a network's activations are in it
    resume = checkpoint is not None and settings.resume and checkpoint.generations.exist
    runs = Restarts(step, data, settings, callbacks, checkpoint, resume, ranks)

    def result() -> Fit:
        seconds, gates = time.perf_counter() - started, read_gates(guide).total
        return Fit(
            runs.done,
            described,
            runs.config,
            data,
            gates,
            seconds,
            step.mode,
            settings,
            dict(keywords_of_model),
        )

    try:
        runs.run()
    except DivergenceError as error:
        error.fit = result()
        raise
    done = result()
    callbacks.on_finish(done)
    return done


def _settings(settings: FitSettings | None, keywords: FitKeywords) -> FitSettings:
    known = [one.name for one in fields(FitSettings)]
    for name in keywords:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"fit takes no argument {name!r}, only settings and {', '.join(known)}{hint}")
    if settings is None:
        return FitSettings(**keywords)
    if not isinstance(settings, FitSettings):
        raise TypeError(f"settings must be a FitSettings, got {type(settings).__name__}")
    return replace(settings, **keywords)


def _check(
    settings: FitSettings, model: Any, guide: Any, data: Any, first: ModelArguments
) -> tuple[FitSettings, list[str]]:
    """Refuse what does not fit model, guide and data; fill in what follows from them.

    What is said of values that are not finite is for later, since the model may mask them.
    """
    if not isinstance(guide, torch.nn.Module):
        raise TypeError(
            f"guide must be a module, such as AutoHardConcrete; got {type(guide).__name__}. A guide function "
            "with pyro.param is trained by pyro.infer.SVI(..., loss=MeanFieldELBO())"
        )
    guide_able, able, kind = GuideAbilities(guide), ModelAbilities(model), type(guide).__name__
    if settings.restarts > 1 and guide_able.perturb is None:
        raise ValueError(f"restarts={settings.restarts} needs a guide with perturb(), which {kind} lacks")
    complaints = check_data(model, first, may_be_masked=True)
    if able.check_data is not None:  # a model that knows which data it can observe, all of them
        with explained_single_row():
            able.check_data(*(data if isinstance(data, tuple) else getattr(data, "tensors", first.args)))
    if rows_of_smallest_batch(data) == 1:
        last = isinstance(data, DataLoader) and data.batch_size != 1
        check_single_row(model, guide, first, "the last batch of an epoch" if last else "a batch of the data")
    steps = settings.steps_on(data)
    if settings.temperature is not None and not guide_able.temperatures:
        raise ValueError(f"temperature is given, but {kind} has no temperature")
    if settings.sleep and able.live is None:
        raise ValueError(
            f"sleep=True needs a model that can, such as SparseNetwork; got {type(model).__name__}"
        )
    if settings.per_example_gates:
        check_per_example(model)
    guard = settings.guard_collapse
    if guard is None:  # a cut leaves every site a gate
        guard = able.costs is not None and not settings.shrink
    return replace(settings, steps=steps, epochs=None, guard_collapse=guard), complaints


def _mode(settings: FitSettings, objective: BoundELBO) -> CompileMode:
    if settings.compile != "auto":
        return settings.compile
    if settings.shrink:  # what is computed changes soon, and has little overhead
        return "eager"
    if settings.sleep:  # graphs are captured anew a few times
        return "graph"
    steps = settings.total_steps * settings.restarts
    size = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    return "inductor" if size * steps > _INDUCTOR_WORK or steps > _INDUCTOR_STEPS else "graph"
