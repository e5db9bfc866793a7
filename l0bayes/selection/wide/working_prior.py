r"""Prior of the gates of a working set, given that all others are shut."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from l0bayes.selection.problem.inclusion_prior import InclusionPrior

__all__ = ["WorkingPrior", "working_prior"]


@dataclass(frozen=True)
class WorkingPrior(InclusionPrior):
    r"""Odds of the gates of a working set among all p gates, times :math:`1/a_j`.

    Its methods about single models and conditional odds are those of the gates among all p; the laws of
    inclusion and size are the marginal ones, which for exchangeable gates are those of the set alone.

    Args:
        log_odds: Log odds of the gates of the set, shape ``(m,)``.
        beta: As of all gates.
        blocks, restriction: None are given.
        total: p.
        tilt: :math:`-\log a_j` of every gate, shape ``(m,)``; ``None`` where all are 0.
        allowed: Which gates each chain may flip, shape ``(C, m)``; ``None`` for all. It may be changed in
            place.
    """

    total: int = field(default=0, kw_only=True)
    tilt: Tensor | None = field(default=None, kw_only=True)
    allowed: Tensor | None = field(default=None, kw_only=True)

    def log_odds_beside(self, others: Tensor, count: int) -> Tensor:
        odds = super().log_odds_beside(others, self.total)
        return odds if self.tilt is None else odds + self.tilt

    def conditional_log_odds(self, gates: Tensor) -> Tensor:
        return self.log_odds_beside(gates.sum(-1, keepdim=True) - gates, self.total)

    def movable(self, gates: Tensor) -> Tensor | None:
        return self.allowed


def working_prior(
    prior: InclusionPrior,
    columns: Tensor,
    total: int,
    tilt: Tensor | None = None,
    allowed: Tensor | None = None,
) -> WorkingPrior:
    """The prior of some gates beside others that are shut.

    Args:
        prior: Prior of all gates, without blocks and restrictions.
        columns: Numbers of the gates, shape ``(m,)``.
        total: p.
        tilt: As in :class:`WorkingPrior`.
        allowed: As there.
    """
    odds = None if prior.log_odds is None else prior.log_odds[columns].to(torch.float64)
    return WorkingPrior(log_odds=odds, beta=prior.beta, total=total, tilt=tilt, allowed=allowed)
