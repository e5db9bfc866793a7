r"""A Gaussian problem with a tilted prior, from which models of another problem are proposed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from l0bayes.selection.engines.gaussian_chains import sample_gaussian
from l0bayes.selection.engines.gibbs_records import GibbsOptions
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.selection_posterior import SelectionPosterior

__all__ = ["TiltedPrior", "TiltedProposal"]


@dataclass(frozen=True)
class TiltedPrior(InclusionPrior):
    r"""A prior of the gates times :math:`e^{t'\gamma}`, not normalised.

    Args:
        log_odds, beta, blocks, restriction: The prior's.
        tilt: t, added to the log odds of every gate, shape ``(G,)``.
    """

    tilt: Tensor | None = None

    def log_prob(self, gates: Tensor) -> Tensor:
        return super().log_prob(gates) + gates @ self._tilt(gates)

    def conditional_log_odds(self, gates: Tensor) -> Tensor:
        found = super().conditional_log_odds(gates)  # of blocks: the others come by log_odds_beside
        return found if self.blocks is None else found + self._tilt(gates)

    def log_odds_beside(self, others: Tensor, count: int) -> Tensor:
        return super().log_odds_beside(others, count) + self._tilt(others)

    def _tilt(self, like: Tensor) -> Tensor:
        assert self.tilt is not None
        return self.tilt.to(like)


@dataclass(frozen=True)
class TiltedProposal:
    """A Gaussian problem with a tilted prior: up to a constant, log q = quadratic + tilt.

    Attributes:
        problem: The problem.
        tilt: What is added to the log odds of every gate, shape ``(G,)``.
    """

    problem: GaussianProblem
    tilt: Tensor

    def sample(self, options: GibbsOptions, start: Tensor | None, **keywords: Any) -> SelectionPosterior:
        """Sample models.

        Args:
            options: Length and width of the run.
            start: Inclusion probabilities to draw the first models from, shape ``(G,)``.
            **keywords: Those of :func:`~.gaussian_chains.sample_gaussian`.
        """
        given = self.problem.prior
        prior = TiltedPrior(given.log_odds, given.beta, given.blocks, given.restriction, self.tilt)
        return sample_gaussian(self.problem.replace(prior=prior), options, start=start, **keywords)
