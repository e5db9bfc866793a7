r"""The cut as a callback: units are taken out for good, and the rest is trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.decision import Decision
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.objectives.compiled import GradientStep
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.shrink.cut_run import CutRun, carry_state, check_state, cut_objective
from l0bayes.infer.shrink.direct_elbo import DirectELBO
from l0bayes.infer.targets.costs import activities

__all__ = ["Shrinking"]


class Shrinking(Callback):
    """Cuts the run before a step of it; afterwards a small objective is trained in the place of the whole.

    At records and at the end its values are written to where they come from, so that model and guide speak of
    the original units throughout, and whoever reads them need not know.

    Args:
        at: Number of steps done when the run is cut.
        choose: From model and guide to the gates that stay, zeros and ones by site.
        optimizer_of: Makes the optimiser of an objective.
        batch: Model arguments.
    """

    def __init__(
        self,
        at: int,
        choose: Callable[[Any, Any], dict[str, Tensor]],
        optimizer_of: Callable[[BoundELBO], Optimizer],
        batch: tuple[Any, ...],
    ) -> None:
        self.at, self.choose, self.optimizer_of, self.batch = at, choose, optimizer_of, batch
        self._cut: CutRun | None = None

    def on_start(self, run: TrainingRun) -> None:
        self._cut = None

    def before_step(self, run: TrainingRun) -> None:
        if self._cut is None and run.done >= self.at:
            probabilities = {site: value.detach().clone() for site, value in activities(run.guide).items()}
            self._go_on_with(run, Decision(run.done, probabilities, self.choose(run.model, run.guide)))

    def after_step(self, run: TrainingRun) -> None:
        if run.done == 1:
            check_state(run.optimizer)

    def _go_on_with(self, run: TrainingRun, decision: Decision) -> None:
        assert isinstance(run.objective, DirectELBO)
        cut = cut_objective(run.objective, decision.opened, self.batch)
        optimizer = self.optimizer_of(cut.small)
        carry_state(cut, run.optimizer, optimizer)
        self._cut = cut
        run.decision, run.whole = decision, cut.whole
        run.objective, run.optimizer = cut.small, optimizer
        run.gradient_step = GradientStep(cut.small, run.gradient_step.mode)
        run.keep()

    def on_record(self, run: TrainingRun, record: Record) -> None:
        if self._cut is not None:
            self._cut.put_back()

    def on_end(self, run: TrainingRun) -> None:
        if self._cut is not None:
            self._cut.put_back()

    def state_dict(self, run: TrainingRun) -> dict[str, Any]:
        if run.decision is None or self._cut is None:
            return {}
        return {**vars(run.decision), "whole": dict(self._cut.whole.state_dict())}

    def shape_like(self, run: TrainingRun, state: dict[str, Any]) -> None:
        if state:
            run.objective.load_state_dict(state["whole"])
            parts = {name: value for name, value in state.items() if name != "whole"}
            self._go_on_with(run, Decision(**parts))
