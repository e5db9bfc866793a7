r"""Nodes of numbers that are learned, found anew as a sampler comes to know the probable models."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.kernels.evidence_grid import EvidenceGrid
from l0bayes.selection.kernels.scalar_nodes import find_nodes
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.learned_problem import LearnedProblem

__all__ = ["NodesOfRounds"]

# Models for which nodes are found.
_PILOTS = 40


class NodesOfRounds:
    """Where the evidences of a problem are computed: at itself, or at nodes of what it learns.

    Nodes are found anew for the models of every round.

    Args:
        problem: The problem.

    Attributes:
        grid: The nodes that were found last.
    """

    def __init__(self, problem: GeneralisedProblem | LearnedProblem) -> None:
        self.problem = problem
        self.learned = problem if isinstance(problem, LearnedProblem) else None
        if self.learned is None:
            assert isinstance(problem, GeneralisedProblem)
            self.grid = EvidenceGrid.of_one(problem)
        else:
            # Without open gates: from the side of more noise fewer columns are taken.
            least = torch.zeros(1, problem.num_groups, dtype=torch.float64)
            restriction = problem.prior.restriction
            if restriction is not None:
                least = restriction.repaired(least.bool()).double()
            self._around(least, self.learned.start)

    def _around(self, gates: Tensor, start: Tensor) -> None:
        assert self.learned is not None
        self.grid = EvidenceGrid.over(self.learned, find_nodes(self.learned, gates, start))

    def adapt(self, draws: Tensor) -> None:
        """Find the nodes for the models that were drawn most often.

        Args:
            draws: Models, shape ``(S, G)``.
        """
        if self.learned is not None:
            gates, counts = torch.unique(draws, dim=0, return_counts=True)
            often = gates[torch.argsort(counts, descending=True, stable=True)[:_PILOTS]]
            self._around(often, self.grid.logs[self.grid.best])
