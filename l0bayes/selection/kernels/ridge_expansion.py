r"""A generalised problem expanded at the mode of all its columns, and averages over modes of models."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.kernels.gram import Gram
from l0bayes.selection.kernels.laplace import Modes, find_modes
from l0bayes.selection.problem.glm_problem import GLMProblem, working_problem

__all__ = ["average_coefficients", "expand_at_ridge"]


def expand_at_ridge(problem: GLMProblem, scale: Tensor) -> Gram:
    """Second moments of the working problem at the mode of all columns together.

    Args:
        problem: The problem.
        scale: Slab scale to use for the mode, shape ``(p,)``.
    """
    ridge = problem.replace(slab_scale=scale)
    eta = problem.likelihood.starting_predictor(problem.y).expand(problem.num_rows)
    everything = torch.ones(1, problem.num_groups)
    start = Gram.of(working_problem(ridge, eta))
    mode = find_modes(ridge, everything, start)
    columns = torch.cat([problem.always, problem.x], 1)[:, mode.place[0]]
    return Gram.of(working_problem(problem, problem.offset + columns @ mode.coefficients[0]))


def average_coefficients(problem: GLMProblem, modes: Modes, values: Tensor, shares: Tensor) -> Tensor:
    """Average over models of something of every coefficient, 0 where its gate is shut; shape ``(k + p,)``.

    Args:
        problem: The problem.
        modes: The models, for the columns in their slots.
        values: Values, shape ``(M, s)``.
        shares: Weights of the models, shape ``(M,)``.
    """
    total = values.new_zeros(problem.always.shape[1] + problem.num_columns)
    weighted = torch.where(modes.held, values, 0.0) * shares[:, None]
    return total.index_add_(0, modes.place.flatten(), weighted.flatten())
