r"""The independent runs of a fit, one after the other in the same modules."""

from __future__ import annotations

import copy
import re
import time
from typing import Any

from l0bayes.files.state_files import as_plain_state
from l0bayes.infer.callbacks.callback_list import CallbackList
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.guide_combinations import copied_guide
from l0bayes.infer.kept_model import kept_model
from l0bayes.infer.loop.checkpoint import Checkpoint
from l0bayes.infer.loop.fit_settings import FitSettings
from l0bayes.infer.loop.kept_runs import kept_run
from l0bayes.infer.loop.optimizers import make_optimizer
from l0bayes.infer.loop.restart_result import Restart, take_best
from l0bayes.infer.loop.shared_data import facts_of
from l0bayes.infer.loop.training_loop import train
from l0bayes.infer.objectives.compiled import GradientStep
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.ranks.ranks import Ranks

__all__ = ["Restarts"]


class Restarts:
    """The independent runs of a fit; ``done`` grows as they end, whatever ends them.

    Args:
        step: The gradient step of the objective.
        data: A tuple of arguments or an iterable of batches.
        settings: The settings of the fit.
        callbacks: The callbacks.
        checkpoint: The checkpoint, where there is one.
        resume: Whether to go on from it.
        ranks: The processes that train it.
    """

    def __init__(
        self,
        step: GradientStep,
        data: Any,
        settings: FitSettings,
        callbacks: CallbackList,
        checkpoint: Checkpoint | None,
        resume: bool,
        ranks: Ranks,
    ) -> None:
        self.objective, self.step, self.data = step.objective, step, data
        self.settings, self.callbacks = settings, callbacks
        self.checkpoint, self.resume = checkpoint, resume
        self.ranks = ranks
        # Each rank draws for itself, so that their number bears on the result.
        several = {"ranks": ranks.count} if ranks.count > 1 else {}
        self.config = {**settings.record(), **several}
        self.done: list[Restart] = []

    def run(self) -> None:
        """Run them all. The objective's modules end as the best of them."""
        several = self.settings.restarts > 1
        start = copy.deepcopy(self.objective.state_dict()) if several else {}
        perturb = GuideAbilities(self.objective.guide).perturb
        first = 0
        if self.checkpoint is not None:
            if self.resume:
                self.done, first, start = self.checkpoint.take_up(self.objective, self.config, start)
            self.checkpoint.start = as_plain_state(start, "the start")
        try:
            for index in range(first, self.settings.restarts):
                seed = self.settings.seed + index
                if index and perturb is not None:
                    self.objective.load_state_dict(start)
                    perturb(seed)
                with private_randomness(seed):
                    self._run_one(index, seed, self.resume and index == first)
                if self.done[-1].stopped == "interrupted":
                    break
                if several and self.checkpoint is not None:
                    self.checkpoint.ended.append(kept_run(self.done[-1]))
        finally:
            if len(self.done) > 1:
                self._keep_best()

    def _run_one(self, index: int, seed: int, resume: bool) -> None:
        started = time.perf_counter()
        run = TrainingRun(
            self.objective,
            make_optimizer(self.objective, self.settings),
            self.step,
            self.settings.total_steps,
            self.callbacks,
            settings=self.config,
            seed=seed,
            index=index,
            restarts=self.settings.restarts,
        )
        try:
            kept = self.checkpoint if resume else None
            if self.ranks.count > 1:
                self.ranks.begin(self.objective, self._facts())
            train(run, self.data, self.callbacks, self.settings.record_every, kept, self.ranks)
            # What was computed at the end, of each rank's own share.
            self.ranks.agree(run.objective, run.done)
            if run.whole is not None:
                self.ranks.agree(run.whole, run.done)
        finally:
            # The next run starts in the same modules, and the next fit of the model may do.
            model, guide = kept_model(self.objective.model), self.objective.guide
            if self.settings.restarts > 1:
                guide = copied_guide(guide)
            seconds = time.perf_counter() - started
            stopped = run.stopped or "failed"
            self.done.append(
                Restart(guide, model, run.history, seed, seconds, stopped, run.collapsed, run.decision)
            )

    def _facts(self) -> dict[str, Any]:
        """What all ranks must have in common."""
        settings = {name: _without_addresses(value) for name, value in self.config.items()}
        shapes = {name: tuple(value.shape) for name, value in self.objective.named_parameters()}
        return {**settings, "shapes of parameters": shapes, **facts_of(self.data)}

    def _keep_best(self) -> None:
        take_best(self.done, self.objective.model, self.objective.guide)


def _without_addresses(value: Any) -> str:
    """A setting as text that is the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
