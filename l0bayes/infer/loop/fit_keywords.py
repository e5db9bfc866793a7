r"""The keywords of ``fit``, for editors and type checkers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal, TypedDict

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.history import History
from l0bayes.infer.loop.early_stopping import EarlyStopping
from l0bayes.infer.loop.fit_settings import OptimizerFactory
from l0bayes.infer.objectives.compiled import CompileMode
from l0bayes.infer.schedules import Schedule
from l0bayes.infer.targets.target import Target

__all__ = ["FitKeywords"]


class FitKeywords(TypedDict, total=False):
    """The fields of :class:`~l0bayes.infer.FitSettings`; any may be left out."""

    steps: int | None
    epochs: int | None
    lr: float
    gate_lr: float | None
    lr_schedule: float | Schedule | None
    temperature: float | Schedule | None
    kl_weight: float | Schedule
    num_particles: int
    optimizer: OptimizerFactory | None
    early_stopping: EarlyStopping | None
    restarts: int
    seed: int
    compile: CompileMode | Literal["auto"]
    log_every: int | None
    target: str | Target | None
    guard_collapse: bool | None
    per_example_gates: bool
    sleep: bool
    shrink: bool
    search_share: float | None
    round_to: int | None
    checkpoint: str | os.PathLike[str] | None
    checkpoint_every: float
    resume: bool
    history_file: str | os.PathLike[str] | None
    distributed: bool | None
    progress: bool
    callback: Callable[[History], None] | None
    callbacks: Sequence[Callback]
