r"""Evidences of many models by Laplace's method, at every node of the numbers that are learned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from l0bayes.selection.kernels.between_nodes import between_nodes
from l0bayes.selection.kernels.laplace import Modes, Refined, find_modes, refine_modes
from l0bayes.selection.kernels.model_averages import average_coefficients
from l0bayes.selection.kernels.scalar_nodes import ScalarNodes
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.learned_problem import LearnedProblem

__all__ = ["EvidenceGrid", "Evidences", "RefinedEvidences"]

# A node with a smaller share of a model's posterior is given the model's mean second-order term.
_SMALL_SHARE = 1e-3


@dataclass(frozen=True)
class EvidenceGrid:
    """A problem at its nodes; at one where nothing is learned.

    Attributes:
        problems: The problem at every node.
        log_weights: What is added to log evidences at every node, shape ``(K,)``.
        logs: Logarithms of the numbers that are learned, shape ``(K, q)``; q is 0 where there are none.
        best: The node in the middle of the posterior.
        lattice: Whole numbers of each node, shape ``(K, q)``.
        basis: What a step along each axis of the lattice is in logarithms, columns of shape ``(q, q)``.
    """

    problems: tuple[GeneralisedProblem, ...]
    log_weights: Tensor
    logs: Tensor
    lattice: Tensor
    basis: Tensor
    best: int = 0

    @classmethod
    def of_one(cls, problem: GeneralisedProblem) -> EvidenceGrid:
        """Of a problem in which nothing is learned.

        Args:
            problem: The problem.
        """
        zero = torch.zeros(1, dtype=torch.float64)
        nothing = zero.new_zeros(1, 0)
        return cls((problem,), zero, nothing, nothing, zero.new_zeros(0, 0))

    @classmethod
    def over(cls, problem: LearnedProblem, nodes: ScalarNodes) -> EvidenceGrid:
        """Of a problem at nodes.

        Args:
            problem: The problem.
            nodes: The nodes.
        """
        problems = tuple(problem.at(logs) for logs in nodes.logs)
        return cls(problems, nodes.log_weights, nodes.logs, nodes.lattice, nodes.basis, nodes.best)

    @property
    def centre(self) -> GeneralisedProblem:
        """The problem at the node in the middle."""
        return self.problems[self.best]

    def some(self, index: Tensor) -> EvidenceGrid:
        """Some of the nodes, the first of them as the middle.

        Args:
            index: Which.
        """
        problems = tuple(self.problems[one] for one in index.tolist())
        return EvidenceGrid(
            problems, self.log_weights[index], self.logs[index], self.lattice[index], self.basis
        )

    def between(self, nodes: Tensor, masses: Tensor, weights: Tensor | None = None) -> Tensor:
        """Logarithms of the numbers for draws of nodes, from between them, shape ``(N, q)``.

        Args:
            nodes: Node of every draw, shape ``(N,)``.
            masses: Posterior masses of all nodes, shape ``(K,)``.
            weights: Weights of the draws, shape ``(N,)``; by default all alike.
        """
        moved = between_nodes(self.lattice, masses.log(), nodes, weights) - self.lattice[nodes]
        return self.logs[nodes] + moved @ self.basis.T

    def evaluate(self, gates: Tensor, near: GaussianProblem | Modes, *, shared: bool = False) -> Evidences:
        """Modes and evidences of models at all nodes, from the middle outwards.

        Args:
            gates: Models, zeros and ones, shape ``(M, G)``.
            near: Where to start at the node in the middle.
            shared: As in :func:`~l0bayes.selection.kernels.laplace.find_modes`.
        """
        distance = (self.logs - self.logs[self.best]).square().sum(1)
        found: dict[int, Modes] = {}
        for node in torch.argsort(distance, stable=True).tolist():
            start = near
            if found:
                done = torch.tensor(list(found))
                gaps = (self.logs[done] - self.logs[node]).square().sum(1)
                start = found[int(done[gaps.argmin()])]
            found[node] = find_modes(self.problems[node], gates, start, shared=shared)
        modes = [found[node] for node in range(len(self.problems))]
        joint = torch.stack([one.log_evidence for one in modes], 1) + self.log_weights
        return Evidences(self, modes, joint)


@dataclass(frozen=True)
class Evidences:
    """Models at nodes.

    Attributes:
        grid: The nodes.
        modes: Modes of all models at every node.
        log_joint: Log evidences with what the nodes weigh, shape ``(M, K)``.
    """

    grid: EvidenceGrid
    modes: list[Modes]
    log_joint: Tensor

    @classmethod
    def of_one(cls, problem: GeneralisedProblem, modes: Modes) -> Evidences:
        """Of models of a problem in which nothing is learned.

        Args:
            problem: The problem.
            modes: Modes of the models.
        """
        return cls(EvidenceGrid.of_one(problem), [modes], modes.log_evidence[:, None])

    @property
    def log_evidence(self) -> Tensor:
        """Log evidence of every model, integrated over the nodes, shape ``(M,)``."""
        return self.log_joint.logsumexp(1)

    @property
    def shares(self) -> Tensor:
        """Posterior of the nodes in every model, shape ``(M, K)``."""
        return self.log_joint.softmax(1)

    @property
    def at_centre(self) -> Modes:
        """Modes at the node in the middle."""
        return self.modes[self.grid.best]

    @property
    def not_converged(self) -> int:
        """Number of modes in the middle that were not found."""
        return int((~self.at_centre.converged).sum())

    def packed(self, index: Tensor) -> Evidences:
        """Some of the models, slots in use first.

        Args:
            index: Which.
        """
        modes = [one[index].packed() for one in self.modes]
        return replace(self, modes=modes, log_joint=self.log_joint[index])

    def some(self, index: Tensor) -> Evidences:
        """Some of the models, with the slots that all have.

        Args:
            index: Which.
        """
        return replace(self, modes=[one.some(index) for one in self.modes], log_joint=self.log_joint[index])

    def refine(self) -> RefinedEvidences:
        """Second-order terms where a model has its posterior; elsewhere the model's mean term."""
        shares = self.shares
        terms, parts = torch.zeros_like(shares), []
        wanted = (shares > _SMALL_SHARE) | (shares >= shares.amax(1, keepdim=True))
        for node, problem in enumerate(self.grid.problems):
            index = wanted[:, node].nonzero()[:, 0]
            modes = self.modes[node] if len(index) == len(shares) else self.modes[node][index]
            refined = refine_modes(problem, modes)
            terms[index, node] = refined.correction
            parts.append((index, modes, refined))
        kept = shares * wanted
        typical = (kept * terms).sum(1, keepdim=True) / kept.sum(1, keepdim=True)
        joint = self.log_joint + torch.where(wanted, terms, typical)
        return RefinedEvidences(self, joint, terms, parts)


@dataclass(frozen=True)
class RefinedEvidences:
    """Evidences with their second-order terms.

    Attributes:
        evidences: Without.
        log_joint: With, shape ``(M, K)``.
        terms: The terms where they were computed, 0 elsewhere, shape ``(M, K)``.
        parts: Of every node the models in question, their modes, and their terms.
    """

    evidences: Evidences
    log_joint: Tensor
    terms: Tensor
    parts: list[tuple[Tensor, Modes, Refined]]

    @property
    def correction(self) -> Tensor:
        """What the terms add to the log evidence of every model, shape ``(M,)``."""
        return self.log_joint.logsumexp(1) - self.evidences.log_evidence

    @property
    def shares(self) -> Tensor:
        """Posterior of the nodes in every model, shape ``(M, K)``."""
        return self.log_joint.softmax(1)

    def moments(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and second moment of all coefficients over models and nodes, each of shape ``(k + p,)``.

        Args:
            weights: Weights of the models, shape ``(M,)``.
        """
        shares = torch.zeros_like(self.terms)
        for node, (index, _, _) in enumerate(self.parts):
            shares[index, node] = self.shares[index, node]
        shares = shares / shares.sum(1, keepdim=True) * weights[:, None]
        total: list[Tensor] = []
        for node, (index, modes, refined) in enumerate(self.parts):
            problem, share = self.evidences.grid.problems[node], shares[index, node]
            values = (refined.mean, refined.mean.square() + refined.variance)
            total.append(torch.stack([average_coefficients(problem, modes, one, share) for one in values]))
        mean, second = torch.stack(total).sum(0)
        return mean, second
