r"""Gates that a run leaves undecided, decided by their rank."""

from __future__ import annotations

import copy
from typing import Any

import torch

from l0bayes.infer.callbacks.decision import Decision
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.targets.costs import activities
from l0bayes.infer.targets.kept_gates import kept_gates
from l0bayes.infer.targets.target import Target

__all__ = ["decide_by_rank", "reason_not_decided"]


@torch.no_grad()
def reason_not_decided(guide: Any) -> str | None:
    """Why gates cannot be put to 0 and 1 for certain; ``None`` where they can.

    Args:
        guide: A guide with gates, which is left as it is.
    """
    if GuideAbilities(guide).decide is None:
        return f"gates of {type(guide).__name__} cannot be decided"
    trial = copy.deepcopy(guide)
    wanted = {
        site: (torch.arange(p.numel()) % 2).reshape(p.shape).to(p) for site, p in activities(guide).items()
    }
    try:
        trial.decide(wanted)
    except ValueError as error:
        return str(error)
    return None


@torch.no_grad()
def decide_by_rank(run: TrainingRun, target: Target, everything: bool) -> None:
    """Decide gates by their rank: as many of the most probable ones stay as the target allows.

    Args:
        run: The run, whose guide can decide gates.
        target: The target.
        everything: Whether those that stay are opened for certain and all others shut. Otherwise only open
            gates that are too many are shut, and the others are trained on.
    """
    decide = GuideAbilities(run.guide).decide
    assert decide is not None
    opened = kept_gates(run.model, run.guide, target)
    chances = {site: value.detach().clone() for site, value in activities(run.guide).items()}
    if everything:
        decide(opened)
    else:
        surplus = {site: (value > 0.5) & (opened[site] < 0.5) for site, value in chances.items()}
        decide({site: torch.where(shut, 0.0, -1.0).to(chances[site]) for site, shut in surplus.items()})
        before = {} if run.decision is None else run.decision.opened
        opened = {
            site: torch.where(shut, 0.0, before.get(site, torch.ones_like(chances[site])))
            for site, shut in surplus.items()
        }
    run.decision = Decision.after(run.decision, run.done, chances, opened, everything)
    run.keep()
