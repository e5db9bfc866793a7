r"""All models of a Gaussian system at once: a tree of eliminations, walked in chunks that fit the caches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from l0bayes.selection.kernels.elimination_steps import (
    EliminationStep,
    Moments,
    Systems,
    eliminate,
    regrow,
)
from l0bayes.selection.kernels.model_table import gates_of, open_sums

__all__ = ["ModelChunk", "ModelTree", "all_evidences", "all_models", "slab_sums"]

# Gates that a chunk goes through, and how many systems it starts from where every gate has one column.
_CHUNK_GATES, _CHUNK_SYSTEMS = 10, 64
# Of a column's own size: what is less is rounding.
_ROUNDING = 2e-16


class ModelTree:
    r"""Evidence and moments of every model of a Gaussian system.

    For a model with the columns C, of :math:`2^G`,

    .. math:: \tfrac12\,b_C' A_{CC}^{-1} b_C \qquad\text{and}\qquad - \tfrac12 \log|A_{CC}|,

    whose sum, with half the log of each column's prior precision, is the log evidence over that of the empty
    model. Two models that agree on their first
    columns share the work on them: at each gate the system of the remaining columns is kept once as it is,
    and once with the gate's columns eliminated, so that a model costs a few operations instead of a
    factorisation of its own. With weights of the models the way back gives their moments at the same cost.

    Model m has gate g where bit g of m is set: numbers are laid out as a table of :attr:`shape`, whose
    columns are what the first gates say.

    Args:
        matrix: A, shape ``(p, p)``, positive definite, or positive semidefinite with ``repeats``.
        vector: b, shape ``(p,)``.
        members: Columns of every gate.
        least: Pivots below are rounding, shape ``(p,)``; by default those of 2e-16 of the column's own.
        repeats: Whether a column whose pivot is rounding repeats those before it and is left out.
    """

    def __init__(
        self,
        matrix: Tensor,
        vector: Tensor,
        members: Sequence[Sequence[int]],
        *,
        least: Tensor | None = None,
        repeats: bool = False,
    ) -> None:
        self._members = [list(group) for group in members]
        self._order = [column for group in self._members for column in group]
        smallest = _ROUNDING * matrix.diagonal() if least is None else least
        self._least: list[float] = smallest.tolist()
        self._top = max(0, len(members) - _CHUNK_GATES)
        size = len(vector)
        system = matrix.new_zeros(size + 1, size + 1, 1)
        system[:size, :size, 0] = matrix[self._order][:, self._order]
        system[:size, size, 0] = system[size, :size, 0] = -vector[self._order]
        rank = torch.zeros(1, dtype=torch.int32) if repeats else None
        self._roots = Systems(system, matrix.new_zeros(1), rank)
        self._roots, self._steps = self._eliminated(self._roots, range(self._top))
        # Places alone, not chunks: these hold what the way back needed.
        self._found: list[tuple[slice, Moments, float]] = []

    @staticmethod
    def shape(num_gates: int) -> tuple[int, int]:
        """Shape of a table of all models.

        Args:
            num_gates: Number of gates.
        """
        top = max(0, num_gates - _CHUNK_GATES)
        return 2 ** (num_gates - top), 2**top

    def chunks(self) -> Iterator[ModelChunk]:
        """All models, some columns of the table at a time."""
        roots = len(self._roots.determinant)
        widest = max((len(group) for group in self._members), default=1)
        size = min(roots, max(1, _CHUNK_SYSTEMS >> 2 * math.ceil(math.log2(widest))))
        for start in range(0, roots, size):
            place = slice(start, start + size)
            leaves, steps = self._eliminated(self._roots[place], range(self._top, len(self._members)))
            quadratic = leaves.matrix[0, 0].mul(-0.5)
            rank = None if leaves.rank is None else leaves.rank.view(-1, size)
            yield ModelChunk(
                self, place, quadratic.view(-1, size), leaves.determinant.view(-1, size), rank, steps
            )

    def moments(self) -> tuple[Tensor, Tensor, float]:
        r"""Moments of the coefficients over the models that were weighted.

        Returns:
            :math:`\sum_\gamma v_\gamma E[\beta]` and :math:`\sum_\gamma w_\gamma E[\beta^2]`, each of shape
            ``(p,)``, and the log of the factor that both are to be multiplied with.
        """
        size, count = self._roots.matrix.shape[0], len(self._roots.determinant)
        if not self._found:
            nothing = self._roots.matrix.new_zeros(len(self._order))
            return nothing, nothing, 0.0
        scale = max(log_scale for _, _, log_scale in self._found)
        _, first, _ = self._found[0]
        outer = self._roots.matrix.new_zeros(size, size, count)
        inverse = None if first.inverse is None else outer.new_zeros(count)
        mean = None if first.mean is None else outer.new_zeros(size, count)
        for place, part, log_scale in self._found:
            factor = math.exp(log_scale - scale)
            outer[..., place] = factor * part.outer
            if inverse is not None and part.inverse is not None:
                inverse[place] = factor * part.inverse
            if mean is not None and part.mean is not None:
                mean[:, place] = factor * part.mean
        whole = Moments(outer, inverse, mean)
        for step in reversed(self._steps):
            whole = regrow(whole, step)
        first_moment = whole.outer[:-1, -1, 0] if whole.mean is None else whole.mean[:-1, 0]
        found = outer.new_empty(2, len(self._order))
        found[0, self._order] = first_moment
        found[1, self._order] = whole.outer.diagonal()[0, :-1]
        return found[0], found[1], scale

    def keep(self, place: slice, moments: Moments, log_scale: float) -> None:
        """Moments of a chunk's models; called by the chunk.

        Args:
            place: Its columns of the table.
            moments: Of its first systems.
            log_scale: Log of the factor that they are to be multiplied with.
        """
        self._found.append((place, moments, log_scale))

    def _eliminated(self, systems: Systems, gates: range) -> tuple[Systems, list[EliminationStep]]:
        steps = []
        for gate in gates:
            systems, step = eliminate(systems, self._members[gate], self._least)
            steps.append(step)
        return systems, steps


@dataclass(frozen=True)
class ModelChunk:
    r"""Models of some columns of the table.

    Attributes:
        tree: The tree that it is of.
        place: Its columns of the table.
        quadratic: :math:`\tfrac12\,b_C' A_{CC}^{-1} b_C`, half of what the model explains.
        determinant: :math:`-\tfrac12\log|A_{CC}|`.
        rank: Number of columns of C that repeat no others; ``None`` where none can.
    """

    tree: ModelTree
    place: slice
    quadratic: Tensor
    determinant: Tensor
    rank: Tensor | None
    _steps: list[EliminationStep] = field(repr=False)

    def weigh(
        self,
        weights: Tensor,
        log_scale: float = 0.0,
        *,
        inverse: Tensor | None = None,
        mean: Tensor | None = None,
    ) -> None:
        """Give the models weights, by which the tree then sums up their moments.

        Args:
            weights: Of second moments of the means, and of what is not given; of the chunk's shape.
            log_scale: Log of the factor that all are to be multiplied with.
            inverse: Of the covariances :math:`A_{CC}^{-1}`.
            mean: Of the means.
        """
        moments = Moments(
            weights.reshape(1, 1, -1),
            None if inverse is None else inverse.flatten(),
            None if mean is None else mean.reshape(1, -1),
        )
        for step in reversed(self._steps):
            moments = regrow(moments, step)
        self.tree.keep(self.place, moments, log_scale)


def all_evidences(
    matrix: Tensor, vector: Tensor, log_slab: Tensor, members: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    r"""Quadratic form and determinant of every model of a Gaussian system, each of shape ``(2**G,)``,

    .. math:: \tfrac12\,b_C' A_{CC}^{-1} b_C \qquad\text{and}\qquad
        \sum_{j \in C} \tfrac12\log\tau_j - \tfrac12 \log|A_{CC}|.

    Args:
        matrix: A, shape ``(p, p)``, positive definite.
        vector: b, shape ``(p,)``.
        log_slab: Half the log of every column's prior precision, shape ``(p,)``.
        members: Columns of every gate.
    """
    tree = ModelTree(matrix, vector, members)
    found = matrix.new_empty(2, *ModelTree.shape(len(members)))
    for chunk in tree.chunks():
        found[0][:, chunk.place], found[1][:, chunk.place] = chunk.quadratic, chunk.determinant
    return found[0].flatten(), found[1].flatten() + slab_sums(log_slab, members)


def slab_sums(log_slab: Tensor, members: Sequence[Sequence[int]]) -> Tensor:
    """Sum of a number of each column over the columns of every model, shape ``(2**G,)``.

    Args:
        log_slab: The numbers, shape ``(p,)``.
        members: Columns of every gate.
    """
    by_gate = [log_slab[group].sum() for group in members]
    return open_sums(torch.stack(by_gate) if by_gate else log_slab)


def all_models(num_groups: int) -> Tensor:
    """Every model as zeros and ones, shape ``(2**G, G)``, in the order of :func:`all_evidences`.

    Args:
        num_groups: G.
    """
    return gates_of(torch.arange(2**num_groups), num_groups)
