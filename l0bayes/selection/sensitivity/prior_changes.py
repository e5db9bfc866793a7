r"""Inclusion probabilities under another prior: of all models, of weighted draws, or of a new run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from l0bayes.selection.kernels.model_table import gate_sums
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.sensitivity.model_evidences import log_evidences
from l0bayes.selection.sensitivity.model_tables import gates_at_most, model_tables

__all__ = ["FEWEST_EFFECTIVE", "Method", "PriorChanges", "UnderPrior"]

Method = Literal["all models", "reweighted", "refitted", "too few draws"]
"""How it was found: the evidence of every model; draws by importance weights; a run of the engine; not."""
FEWEST_EFFECTIVE = 400.0
"""Effective number of draws from which on their weighted averages are told."""


@dataclass(frozen=True)
class UnderPrior:
    r"""What holds under a prior.

    Attributes:
        pip: Inclusion probability of every gate, shape ``(G,)``; NaN where too few draws are left.
        log_evidence: Log evidence, where it is known; else NaN.
        effective: Effective number of draws, :math:`(\sum w)^2/\sum w^2`; NaN where none were weighted.
        method: How it was found.
    """

    pip: Tensor
    log_evidence: float
    effective: float
    method: Method


class PriorChanges:
    """What a posterior says of other priors.

    Args:
        posterior: The posterior under the prior of the fit.
        refit: From a problem to its posterior, for where draws do not reach; ``None`` for no such runs.
    """

    def __init__(
        self,
        posterior: SelectionPosterior,
        refit: Callable[[SelectionProblem], SelectionPosterior] | None,
    ) -> None:
        self.posterior, self.refit = posterior, refit

    def under(self, problem: SelectionProblem, priors: Sequence[InclusionPrior]) -> list[UnderPrior]:
        """Inclusion probabilities under priors of slabs and noise, and each of several priors of the gates.

        Args:
            problem: The problem under other priors of slabs and noise.
            priors: Priors of the gates.
        """
        if self.refit is not None and self.posterior.diagnostics.evidences_corrected:
            return [self._again(problem.replace(prior=prior)) for prior in priors]
        if problem.num_groups <= gates_at_most(problem):
            always = problem.prior.restriction
            fixed = None if always is None else always.always
            return [_of_table(table, fixed) for table in model_tables(problem, priors)]
        after = None if self._before is None else log_evidences(problem, self.posterior.draws)
        return [self._of_draws(problem.replace(prior=prior), after) for prior in priors]

    @cached_property
    def _before(self) -> Tensor | None:
        """Of each draw, up to a constant, the log of its probability under the prior of the fit."""
        problem, draws = self.posterior.problem, self.posterior.draws
        found = log_evidences(problem, draws)
        return None if found is None else found + problem.prior.log_prob(draws.gates) - draws.weights.log()

    def _of_draws(self, problem: SelectionProblem, after: Tensor | None) -> UnderPrior:
        effective, gates = math.nan, self.posterior.draws.gates
        if self._before is not None and after is not None:
            weights = torch.softmax(after + problem.prior.log_prob(gates) - self._before, 0)
            effective = float(1.0 / weights.square().sum())
            if effective >= FEWEST_EFFECTIVE:
                return UnderPrior(weights @ gates, math.nan, effective, "reweighted")
        return self._again(problem, effective)

    def _again(self, problem: SelectionProblem, effective: float = math.nan) -> UnderPrior:
        if self.refit is None:
            nothing = torch.full_like(self.posterior.pip, torch.nan)
            return UnderPrior(nothing, math.nan, effective, "too few draws")
        found = self.refit(problem)
        return UnderPrior(found.pip.clamp(0.0, 1.0), found.log_evidence, effective, "refitted")


def _of_table(table: Tensor, always: Tensor | None) -> UnderPrior:
    total = torch.logsumexp(table, 0)
    pip = gate_sums((table - total).exp()).opened.clamp(max=1.0)
    pip = pip if always is None else torch.where(always, 1.0, pip)
    return UnderPrior(pip, float(total), math.nan, "all models")
