r"""Second moments of the data, which are sufficient for a Gaussian likelihood."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["Gram", "second_moments"]


@dataclass(frozen=True)
class Gram:
    r"""Weighted second moments of all columns :math:`[U, X]`, the unpenalised ones first.

    Attributes:
        matrix: :math:`[U, X]' W [U, X]`, shape ``(k + p, k + p)``.
        vector: :math:`[U, X]' W (y - o)`, shape ``(k + p,)``.
        square: :math:`(y - o)' W (y - o)`.
    """

    matrix: Tensor
    vector: Tensor
    square: Tensor


def second_moments(problem: SelectionProblem) -> Gram:
    """Second moments, computed anew; a Gaussian problem keeps them as ``problem.gram``.

    Args:
        problem: The problem.
    """
    root = problem.weights.sqrt()
    columns = problem.columns * root[:, None]
    response = (problem.y - problem.offset) * root
    return Gram(columns.T @ columns, columns.T @ response, response @ response)
