r"""The guard against a layer whose gates have all shut."""

from __future__ import annotations

from typing import Any

import torch

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.objectives.gate_parts import gate_laws, gate_part_of
from l0bayes.user_warnings import warn_user

__all__ = ["CollapseGuard", "CollapseWarning", "most_open", "reopen_collapsed"]

# Gates that start near 0 are on both sides of it for a while.
_FALL = 1.0


class CollapseWarning(UserWarning):
    """All gates of a site had shut, so that nothing passed; the most probable one was reopened."""


class CollapseGuard(Callback):
    """Reopens the most probable gate of a site whose gates have all shut; see :func:`reopen_collapsed`."""

    def __init__(self) -> None:
        self._start: dict[str, float] = {}

    def on_start(self, run: TrainingRun) -> None:
        self._start = most_open(run.guide, run.model)

    def on_record(self, run: TrainingRun, record: Record) -> None:
        if reopen_collapsed(run.guide, self._start, run.collapsed, record.step):
            run.keep()

    def state_dict(self, run: TrainingRun) -> dict[str, Any]:
        return {"start": self._start, "collapsed": run.collapsed}

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        self._start = state["start"]
        run.collapsed.update(state["collapsed"])


@torch.no_grad()
def most_open(guide: Any, model: Any = None) -> dict[str, float]:
    """The activity logit of the most probable gate of every site that keeps one.

    Args:
        guide: Any guide.
        model: Its model, which knows of sites of one gate that keep it.
    """
    able = ModelAbilities(model)
    return {
        name: float(law.activity_logits.max())
        for name, law in gate_laws(guide).items()
        if able.keeps_one(name, law.batch_shape.numel())
    }


@torch.no_grad()
def reopen_collapsed(guide: Any, start: dict[str, float], collapsed: dict[str, int], step: int) -> bool:
    """Reopen the most probable gate of every site that the median rule has shut altogether.

    A site with one gate is left alone, since a residual block may close, but for a gate on the only unit of
    a layer. So is one whose gates are about as undecided as they were at the start, and one whose gates share
    a probability and are never exactly 0, as in Concrete Dropout, where something always passes.

    Args:
        guide: A guide whose gate guides have ``reopen``; others are left as they are.
        start: What :func:`most_open` gave at the start.
        collapsed: Site to the step of its first collapse, added to in place.
        step: Steps done.

    Returns:
        Whether a gate was reopened.
    """
    reopened = False
    for name, law in gate_laws(guide).items():
        logits = law.activity_logits
        if name not in start or float(logits.max()) > min(0.0, start[name] - _FALL):
            continue
        part = gate_part_of(guide, name)
        always_passes = part.tied and not law.has_atom_at_zero
        if always_passes or part.reopen is None:
            continue
        index = tuple(int(i) for i in torch.unravel_index(logits.argmax(), logits.shape))
        part.reopen(name, index)
        reopened = True
        if name not in collapsed:
            collapsed[name] = step
            warn_user(
                f"all {logits.numel()} gates of {name!r} had shut by step {step}: nothing passed. The "
                "most probable one was reopened, as it will be each time. Ask for a larger share or "
                "a smaller penalty, or switch this off with guard_collapse=False",
                CollapseWarning,
            )
    return reopened
