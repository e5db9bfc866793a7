r"""Averages over the modes of models."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.kernels.design import Gathered
from l0bayes.selection.kernels.laplace import Modes
from l0bayes.selection.kernels.response_terms import terms_of
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem

__all__ = ["average_coefficients", "average_expansion"]

# Entries of the largest tensors of a batch, so that they fit into the processor's caches.
_BATCH = 2**19


def average_coefficients(problem: GeneralisedProblem, modes: Modes, values: Tensor, shares: Tensor) -> Tensor:
    """Average over models of a value for every coefficient, 0 where its gate is shut; shape ``(k + p,)``.

    Args:
        problem: The problem.
        modes: Modes of the models, for the columns of their slots.
        values: Values, shape ``(M, s)``.
        shares: Weights of the models, shape ``(M,)``.
    """
    total = values.new_zeros(problem.num_unpenalised + problem.num_columns)
    weighted = torch.where(modes.held, values, 0.0) * shares[:, None]
    return total.index_add_(0, modes.place.flatten(), weighted.flatten())


def average_expansion(
    problem: GeneralisedProblem, modes: Modes, shares: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Mean linear predictor, slope and curvature of the log likelihood over models and coefficients.

    The Gaussian that has them is the closest to the posterior in the sense of :math:`KL(q \,\|\, p)`; with
    each model's coefficients N(β̂, V), and q as in :func:`refine_modes`, a model adds
    :math:`\ell'_i + \tfrac12 q_{ii}\ell'''_i` and :math:`-\ell''_i - \tfrac12 q_{ii}\ell''''_i`.

    Source: Opper and Archambeau 2009, "The variational Gaussian approximation revisited".

    Args:
        problem: The problem.
        modes: Modes of the models.
        shares: Weights of the models that sum to 1, shape ``(M,)``.

    Returns:
        Three tensors of shape ``(n,)``. Since the expansion may be negative, a model's curvature is at least
        a quarter of the one at its mode.
    """
    design_of = Gathered.over(problem)
    terms, total = terms_of(problem), problem.y.new_zeros(3, problem.num_rows)
    size = max(1, _BATCH // (problem.num_rows * modes.place.shape[1]))
    for index in torch.arange(len(modes.place)).split(size):
        design = design_of(modes.place[index], modes.held[index])
        for row, value in enumerate(terms.spread(design, modes.coefficients[index])):
            total[row] += shares[index] @ value
    return total[0], total[1], total[2]
