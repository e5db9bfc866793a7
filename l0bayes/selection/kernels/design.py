r"""The columns of many models at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["Design", "Gathered", "Shared", "slots"]


def slots(problem: SelectionProblem, gates: Tensor, *, everything: bool = False) -> tuple[Tensor, Tensor]:
    """Places of the active columns of every model, columns without a gate first.

    Args:
        problem: The problem.
        gates: Models, zeros and ones, shape ``(M, G)``.
        everything: Whether every column is given the slot of its own number.

    Returns:
        Column of every slot, and which slots are in use; both of shape ``(M, s)``.
    """
    active = gates.bool()[:, problem.groups]
    active = torch.cat([active.new_ones(len(gates), problem.num_unpenalised), active], 1)
    if everything:
        return torch.arange(active.shape[1]).expand(active.shape), active
    used = active.sum(1)
    width = max(1, int(used.max())) if len(gates) else 1
    place = torch.argsort((~active).to(torch.int8), dim=1, stable=True)[:, :width]
    return place, torch.arange(width) < used[:, None]


@dataclass(frozen=True)
class Design(ABC):
    r"""Columns of M models of s slots each; slots that are not in use do nothing.

    Attributes:
        offset: Offset of the linear predictor, shape ``(n,)``.
        precision: Prior precision of every slot, 1 where it is not in use, shape ``(M, s)``.
    """

    offset: Tensor
    precision: Tensor

    @abstractmethod
    def predictor(self, coefficients: Tensor) -> Tensor:
        """Linear predictor, shape ``(M, n)``.

        Args:
            coefficients: Shape ``(M, s)``.
        """

    @abstractmethod
    def back(self, rows: Tensor) -> Tensor:
        """Product of every column with a vector over the rows, shape ``(M, s)``.

        Args:
            rows: Shape ``(M, n)``.
        """

    @abstractmethod
    def curvature(self, weights: Tensor) -> Tensor:
        """Weighted products of the columns plus the prior's precision, shape ``(M, s, s)``.

        Args:
            weights: Weights of the rows, shape ``(M, n)``.
        """

    @abstractmethod
    def subset(self, index: Tensor) -> Design:
        """Some of the models.

        Args:
            index: Which, shape ``(m,)``.
        """


@dataclass(frozen=True)
class Gathered(Design):
    """Every model has a copy of its columns.

    Attributes:
        offset: Offset of the linear predictor, shape ``(n,)``.
        precision: Prior precision of every slot, 1 where it is not in use, shape ``(M, s)``.
        columns: Shape ``(M, s, n)``, zeros in slots that are not in use.
    """

    columns: Tensor

    @classmethod
    def over(cls, problem: SelectionProblem) -> Callable[[Tensor, Tensor], Gathered]:
        """A function that makes a design from the columns of the slots and the mask of slots in use.

        Args:
            problem: The problem.
        """
        rows = problem.columns.T.contiguous()
        tau = problem.prior_scale.square().reciprocal()

        def make(place: Tensor, held: Tensor) -> Gathered:
            columns = rows[place].masked_fill(~held[:, :, None], 0.0)
            return cls(problem.offset, torch.where(held, tau[place], 1.0), columns)

        return make

    def predictor(self, coefficients: Tensor) -> Tensor:
        return self.offset + (coefficients[:, None, :] @ self.columns)[:, 0]

    def back(self, rows: Tensor) -> Tensor:
        return (self.columns @ rows[..., None])[..., 0]

    def curvature(self, weights: Tensor) -> Tensor:
        products = (self.columns * weights[:, None, :]) @ self.columns.mT
        return products + torch.diag_embed(self.precision)

    def subset(self, index: Tensor) -> Gathered:
        return Gathered(self.offset, self.precision[index], self.columns[index])


@dataclass(frozen=True)
class Shared(Design):
    """All models share all columns, each with a mask; products of columns are computed once.

    Attributes:
        offset: Offset of the linear predictor, shape ``(n,)``.
        precision: Prior precision of every slot, 1 where it is not in use, shape ``(M, s)``.
        columns: Shape ``(n, d)``.
        products: Of every pair of columns, shape ``(n, d (d + 1) / 2)``.
        place: Pair of each entry of a matrix, shape ``(d * d,)``.
        active: The mask as numbers, shape ``(M, d)``.
    """

    columns: Tensor
    products: Tensor
    place: Tensor
    active: Tensor

    @classmethod
    def over(cls, problem: SelectionProblem) -> Callable[[Tensor, Tensor], Shared]:
        """A function that makes a design from the numbers of all columns and the mask of columns in use.

        Args:
            problem: The problem.
        """
        columns = problem.columns
        d = columns.shape[1]
        a, b = torch.triu_indices(d, d)
        products = columns[:, a] * columns[:, b]
        pair = torch.empty(d, d, dtype=torch.long)
        pair[a, b] = pair[b, a] = torch.arange(len(a))
        tau = problem.prior_scale.square().reciprocal()

        def make(place: Tensor, held: Tensor) -> Shared:
            precision = torch.where(held, tau[place], 1.0)
            return cls(problem.offset, precision, columns, products, pair.flatten(), held.to(columns))

        return make

    def predictor(self, coefficients: Tensor) -> Tensor:
        return torch.addmm(self.offset, coefficients, self.columns.T)

    def back(self, rows: Tensor) -> Tensor:
        return (rows @ self.columns) * self.active

    def curvature(self, weights: Tensor) -> Tensor:
        d = self.columns.shape[1]
        full = (weights @ self.products)[:, self.place].reshape(-1, d, d)
        full = full * self.active[:, :, None] * self.active[:, None, :]
        return full + torch.diag_embed(self.precision)

    def subset(self, index: Tensor) -> Shared:
        return Shared(
            self.offset, self.precision[index], self.columns, self.products, self.place, self.active[index]
        )
