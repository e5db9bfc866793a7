r"""The settings of a fit: given once, checked in one place, recorded as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pyro
import torch
from torch.optim import Optimizer

from l0bayes import validate
from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.history import History
from l0bayes.infer.loop.batch_stream import num_batches
from l0bayes.infer.loop.early_stopping import EarlyStopping
from l0bayes.infer.loop.setting_checks import (
    check_places,
    check_schedule,
    check_search,
    check_shrink,
    target_text,
)
from l0bayes.infer.objectives.compiled import CompileMode
from l0bayes.infer.schedules import Linear, Schedule, as_schedule
from l0bayes.infer.shrink.phases import search_gate_rate, search_steps
from l0bayes.infer.targets.target import Target

__all__ = ["FitSettings", "OptimizerFactory"]

OptimizerFactory = Callable[[list[dict[str, Any]]], Optimizer]
"""From parameter groups, each with its rate, to an optimiser."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    r"""The settings of :func:`l0bayes.fit`, which takes each of them as a keyword too.

    Args:
        steps: Number of optimiser steps; default 2000. Not together with ``epochs``.
        epochs: Number of passes over the loader.
        lr: Learning rate of slabs, other latents and the model's parameters.
        gate_lr: Learning rate of the gates, in logits; by default 10 times ``lr``, since gates that
            move as slowly as weights do not decide. With ``target`` or ``shrink`` it is at least what it
            takes them to travel within the first part of the run, and with both just that.
        lr_schedule: Factor on both rates over progress; by default 1 for half of it, then linearly to 0.01.
        temperature: Temperature of the guide's gates, a number or a schedule; by default the guide's.
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
        log_every: Steps between records of the history; by default about 200 records a run, or 25 with
            ``shrink``.
        target: Cost of the deployed network, as a share of the dense network: ``"units:0.2"`` for the number
            of open gates, ``"macs:0.1"`` for a model with multiply-accumulates among its costs,
            ``"latency:0.3@100"`` for the measured time of a network's run of 100 rows, or a
            :class:`~l0bayes.infer.Target`. The penalty that it takes is found during training; see
            :class:`~l0bayes.infer.TargetELBO`. A gate prior that does not push by itself, ``L0Penalty(0)`` or
            ``Gate(0.5)``, goes with it.
        guard_collapse: Whether a site of several gates gets its most probable one back, with a
            :class:`~l0bayes.infer.CollapseWarning`, when all have shut; looked at whenever a record is
            made. By default it is so for a :class:`~l0bayes.infer.CostedModel`, unless it is to ``shrink``,
            which leaves every site a gate; in a regression all may rightly shut.
        per_example_gates: Draw every gate once for each example; see
            :class:`~l0bayes.infer.MeanFieldELBO`.
        sleep: Leave units out of the computation once their gates have all but shut, for a
            :class:`~l0bayes.infer.LiveModel` such as :class:`~l0bayes.models.SparseNetwork`: training takes
            less and less time the smaller the network becomes. Graphs are captured anew a few times; Inductor
            would compile each time, so that ``"auto"`` takes the captured graph.
        shrink: Search, cut, train on: with ``target`` gates are trained in the first part of the run alone;
            then as many stay open as it allows, the units of the others are taken out for good, and the rest
            is trained on without gates, at about the cost of a small dense network. Without ``target`` units
            whose gates have closed for good are taken out now and then, and the other gates are trained to
            the end. For a model that can be cut, such as :class:`~l0bayes.models.SparseNetwork`.
            ``fit.decision`` says what was decided, and when.
        search_share: With ``shrink`` and ``target``: part of the run after which the network is cut, in
            (0, 1). By default a quarter of the first 1000 steps and a tenth of those that come after, but 150
            steps, or 0.4 of all but 40 where that is less, at least. The shorter the search, the less time
            the run takes; the longer, the better the small network is chosen.
        round_to: With ``shrink`` and ``target``: what numbers of units that are left are to be multiples of,
            such as 8; rounded up where the target allows it, else down, never to 0. Otherwise give it
            to :meth:`~l0bayes.models.SparseNetwork.deploy`.
        checkpoint: File to keep the state of the run in, that of several restarts too. It is written at
            records, at most every ``checkpoint_every`` seconds, and when the run ends, is interrupted or
            diverges: whole, with a checksum, and with the state before it kept beside as
            ``{checkpoint}.before``. Nothing in it can run.
        checkpoint_every: Seconds between two writes.
        resume: Go on from ``checkpoint`` where that file exists, with the settings that it was begun with;
            from the state before it, with a warning, where the last one is damaged.
            The result is that of a run without interruption, bit for bit on the same machine, for a tuple of
            tensors and for :class:`~l0bayes.infer.Minibatches`; a loader that shuffles has another order.
        history_file: File that grows by a line of JSON at each record, and is there whatever ends the run; by
            default ``{checkpoint}.jsonl`` where there is a checkpoint. See
            :class:`~l0bayes.infer.HistoryFile`.
        distributed: Whether the guide is trained by all processes of a launcher such as ``torchrun``: each
            takes its share of every batch, gradients are averaged, and rank 0 writes the checkpoint and shows
            the progress; the result is the same on all. ``False`` trains another guide in each process.
            Where there are several, one of the two must be said.
        progress: Whether to show a progress bar.
        callback: Called with the history after each record.
        callbacks: Further work around the steps; see :class:`~l0bayes.infer.Callback`.

    Raises:
        ValueError: If a setting is outside its range, or two of them contradict one another.
        TypeError: If a setting is of a type that is not accepted.

    Example::

        settings = FitSettings(steps=3000, temperature=Geometric(0.67, 0.1))
        fit = l0bayes.fit(model, guide, (x, y), settings=settings, seed=1)
    """

    steps: int | None = None
    epochs: int | None = None
    lr: float = 0.01
    gate_lr: float | None = None
    lr_schedule: float | Schedule | None = None
    temperature: float | Schedule | None = None
    kl_weight: float | Schedule = 1.0
    num_particles: int = 1
    optimizer: OptimizerFactory | None = None
    early_stopping: EarlyStopping | None = None
    restarts: int = 1
    seed: int = 0
    compile: CompileMode | Literal["auto"] = "auto"
    log_every: int | None = None
    target: str | Target | None = None
    guard_collapse: bool | None = None
    per_example_gates: bool = False
    sleep: bool = False
    shrink: bool = False
    search_share: float | None = None
    round_to: int | None = None
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: float = 60.0
    resume: bool = False
    history_file: str | os.PathLike[str] | None = None
    distributed: bool | None = None
    progress: bool = True
    callback: Callable[[History], None] | None = None
    callbacks: Sequence[Callback] = ()

    def __post_init__(self) -> None:
        validate.positive(lr=self.lr, **validate.given(gate_lr=self.gate_lr))
        validate.at_least(1, num_particles=self.num_particles, restarts=self.restarts)
        validate.at_least(1, **validate.given(steps=self.steps, epochs=self.epochs, log_every=self.log_every))
        validate.true_or_false(sleep=self.sleep, shrink=self.shrink, per_example_gates=self.per_example_gates)
        validate.true_or_false(resume=self.resume)
        check_shrink(self.shrink, self.sleep, self.restarts)
        searches = self.shrink and self.target is not None
        check_search(searches, self.search_share, self.round_to)
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        check_schedule("lr_schedule", self.rate_schedule, validate.not_negative)
        check_schedule("kl_weight", self.kl_schedule, validate.not_negative)
        if self.heat_schedule is not None:
            check_schedule("temperature", self.heat_schedule, validate.positive)
        modes = ("auto", *get_args(CompileMode))
        if self.compile not in modes:
            raise ValueError(f"compile must be {', '.join(modes)}; got {self.compile!r}")
        if isinstance(self.target, str):
            Target.parse(self.target)
        self._check_files()
        self._check_callbacks()

    def _check_files(self) -> None:
        validate.not_negative(checkpoint_every=self.checkpoint_every)
        if self.checkpoint is None and self.resume:
            raise ValueError("resume=True needs a file to go on from; give checkpoint")
        check_places(checkpoint=self.checkpoint, history_file=self.history_file)

    def _check_callbacks(self) -> None:
        for name, value in (("callback", self.callback), ("optimizer", self.optimizer)):
            if value is not None and not callable(value):
                raise TypeError(f"{name} must be a function, got {type(value).__name__}")
        stop = self.early_stopping
        if stop is not None and not isinstance(stop, EarlyStopping):
            raise TypeError(f"early_stopping must be an EarlyStopping, got {type(stop).__name__}")
        if isinstance(self.callbacks, Callback):
            raise TypeError(f"callbacks must be a list of Callback, got one {type(self.callbacks).__name__}")
        for one in self.callbacks:
            if not isinstance(one, Callback):
                raise TypeError(
                    f"callbacks must hold Callback objects, got {type(one).__name__}; a function of the "
                    "history goes into callback"
                )

    # ---- defaults that depend on other settings ----------------------------------------------------

    @property
    def total_steps(self) -> int:
        """Number of steps, where epochs are not given."""
        return 2000 if self.steps is None else self.steps

    @property
    def gate_rate(self) -> float:
        """Learning rate of the gates."""
        if self.gate_lr is not None:
            return self.gate_lr
        if not self.shrink and self.target is None:
            return 10.0 * self.lr
        needed = search_gate_rate(self.total_steps, self.search_share)
        # In a search, faster ones shut before anything is known of them.
        return needed if self.shrink and self.target else max(10.0 * self.lr, needed)

    @property
    def search_steps(self) -> int:
        """With ``shrink`` and ``target``: number of steps before the network is cut."""
        return search_steps(self.total_steps, self.search_share)

    @property
    def rate_schedule(self) -> Schedule:
        """Factor on both learning rates."""
        return Linear(1.0, 0.01, begin=0.5) if self.lr_schedule is None else as_schedule(self.lr_schedule)

    @property
    def kl_schedule(self) -> Schedule:
        """Weight of the KL."""
        return as_schedule(self.kl_weight)

    @property
    def heat_schedule(self) -> Schedule | None:
        """Temperature of the gates; ``None`` to leave the guide's."""
        return None if self.temperature is None else as_schedule(self.temperature)

    @property
    def history_path(self) -> Path | None:
        """The file of the history; ``None`` where there is none."""
        if self.history_file is not None:
            return Path(self.history_file)
        return None if self.checkpoint is None else Path(f"{os.fspath(self.checkpoint)}.jsonl")

    @property
    def record_every(self) -> int:
        """Steps between records."""
        return self.log_every or max(1, self.total_steps // (25 if self.shrink else 200))

    def steps_on(self, data: Any) -> int:
        """Number of steps on given data.

        Args:
            data: As :func:`l0bayes.fit` takes them.

        Raises:
            ValueError: If epochs are given and the data have none.
        """
        if self.epochs is None:
            return self.total_steps
        if isinstance(data, tuple | torch.Tensor):
            raise ValueError("epochs counts passes over a loader; with full data give steps")
        batches = num_batches(data)
        if batches is None:
            raise ValueError(
                f"epochs needs data with a length, which this {type(data).__name__} lacks; give steps"
            )
        return self.epochs * batches

    def record(self) -> dict[str, Any]:
        """The settings that bear on the result, as plain values, with the versions of torch and Pyro."""
        return {
            "steps": int(self.total_steps),
            "lr": float(self.lr),
            "gate_lr": float(self.gate_rate),
            "lr_schedule": repr(self.rate_schedule),
            "temperature": None if self.heat_schedule is None else repr(self.heat_schedule),
            "kl_weight": repr(self.kl_schedule),
            "num_particles": self.num_particles,
            "optimizer": "Adam" if self.optimizer is None else repr(self.optimizer),
            "early_stopping": repr(self.early_stopping),
            "restarts": self.restarts,
            "seed": int(self.seed),
            "compile": self.compile,
            "log_every": self.record_every,
            "target": target_text(self.target),
            "guard_collapse": self.guard_collapse,
            "per_example_gates": self.per_example_gates,
            "sleep": self.sleep,
            "shrink": self.shrink,
            "search_share": self.search_share,
            "round_to": self.round_to,
            "callbacks": [callback.name for callback in self.callbacks],
            "torch": str(torch.__version__),
            "pyro": pyro.__version__,
        }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
