r"""The cut as a callback: units are taken out for good, and the rest is trained on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.decision import Decision
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.objectives.compiled import CompileMode, GradientStep
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.shrink.cut_run import CutRun, carry_state, check_state, cut_objective
from l0bayes.infer.shrink.direct_elbo import DirectELBO
from l0bayes.infer.targets.costs import activities

__all__ = ["Shrinking"]

# Steps of a network without gates within which the time of capturing it is won back: a fraction of a second,
# for about a millisecond a step.
_CAPTURED_FROM = 300


class Shrinking(Callback):
    """Cuts the run before some of its steps; then a smaller objective is trained in the place of the whole.

    At records and at the end its values are written to where they come from, so that model and guide speak of
    the original units throughout, and whoever reads them need not know.

    Args:
        at: Numbers of steps done at which the run is cut.
        choose: From model and guide to the gates that stay, zeros and ones by site.
        decides: Whether gates that stay are open for good. Otherwise they are trained on.
        optimizer_of: Makes the optimiser of an objective.
        batch: Model arguments.
        auto: Whether steps of what is left are captured where that pays; otherwise they are computed as those
            before.
    """

    def __init__(
        self,
        at: Collection[int],
        choose: Callable[[Any, Any], dict[str, Tensor]],
        decides: bool,
        optimizer_of: Callable[[BoundELBO], Optimizer],
        batch: tuple[Any, ...],
        auto: bool = False,
    ) -> None:
        self.at, self.choose, self.decides = frozenset(at), choose, decides
        self.optimizer_of, self.batch, self.auto = optimizer_of, batch, auto
        self._cut: CutRun | None = None

    def on_start(self, run: TrainingRun) -> None:
        self._cut = None

    def before_step(self, run: TrainingRun) -> None:
        if run.done not in self.at:
            return
        self._put_back()
        opened = self.choose(run.model, run.guide)
        if not self.decides and not self._closes(run, opened):
            return
        chances = {site: value.detach().clone() for site, value in activities(run.guide).items()}
        decision = Decision.after(run.decision, run.done, chances, opened, self.decides)
        self._go_on_with(run, decision)

    @staticmethod
    def _closes(run: TrainingRun, opened: dict[str, Tensor]) -> bool:
        """Whether gates have closed that had not when the run was cut last."""
        before = None if run.decision is None else run.decision.opened
        return any(
            bool((value < (torch.ones_like(value) if before is None else before[site])).any())
            for site, value in opened.items()
        )

    def after_step(self, run: TrainingRun) -> None:
        if run.done == 1:
            check_state(run.optimizer)

    def _go_on_with(self, run: TrainingRun, decision: Decision) -> None:
        whole = run.whole or run.objective
        assert isinstance(whole, DirectELBO)
        cut = cut_objective(whole, decision.opened, self.batch, self.decides)
        optimizer = self.optimizer_of(cut.small)
        carry_state(cut, optimizer, run.optimizer, self._cut)
        self._cut = cut
        run.decision, run.whole = decision, whole
        run.objective, run.optimizer = cut.small, optimizer
        run.gradient_step = GradientStep(cut.small, self._mode(run, decision))
        run.keep()

    def _mode(self, run: TrainingRun, decision: Decision) -> CompileMode:
        captured = self.auto and self.decides and run.steps - decision.step >= _CAPTURED_FROM
        return "graph" if captured else run.gradient_step.mode

    def _put_back(self) -> None:
        if self._cut is not None:
            self._cut.put_back()

    def on_record(self, run: TrainingRun, record: Record) -> None:
        self._put_back()

    def on_end(self, run: TrainingRun) -> None:
        self._put_back()

    def state_dict(self, run: TrainingRun) -> dict[str, Any]:
        if run.decision is None or run.whole is None:
            return {}
        return {"decision": dict(vars(run.decision)), "whole": dict(run.whole.state_dict())}

    def shape_like(self, run: TrainingRun, state: dict[str, Any]) -> None:
        if state:
            run.objective.load_state_dict(state["whole"])
            self._go_on_with(run, Decision(**state["decision"]))
