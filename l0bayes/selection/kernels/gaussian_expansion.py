r"""Gaussian approximations of a problem: itself if it is Gaussian, else an expansion to second order."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from l0bayes.selection.kernels.laplace import find_modes
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem, working_problem
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["expand_at_mean", "expand_at_ridge", "ridge_problem"]

_NEWTON_STEPS = 20


@singledispatch
def ridge_problem(problem: SelectionProblem) -> GaussianProblem:
    """The problem expanded at the mode of all its columns together, computed once; a Gaussian one as it is.

    Args:
        problem: The problem.

    Raises:
        TypeError: If there is no such expansion for this kind of problem.
    """
    raise TypeError(f"a {type(problem).__name__} has no expansion to a Gaussian problem")


@ridge_problem.register
def _(problem: GaussianProblem) -> GaussianProblem:
    return problem


@ridge_problem.register
def _(problem: GeneralisedProblem) -> GaussianProblem:
    return problem.kept(_at_own_ridge)


def _at_own_ridge(problem: GeneralisedProblem) -> GaussianProblem:
    return expand_at_ridge(problem, problem.slab_scale)


def expand_at_ridge(problem: GeneralisedProblem, scale: Tensor) -> GaussianProblem:
    """The working problem at the mode of all columns together.

    Args:
        problem: The problem.
        scale: Slab scale to use for the mode, shape ``(p,)``.
    """
    ridge = problem.replace(slab_scale=scale)
    eta = problem.likelihood.starting_predictor(problem.y).expand(problem.num_rows)
    everything = torch.ones(1, problem.num_groups)
    mode = find_modes(ridge, everything, working_problem(ridge, eta))
    columns = problem.columns[:, mode.place[0]]
    return working_problem(problem, problem.offset + columns @ mode.coefficients[0])


@singledispatch
def expand_at_mean(problem: SelectionProblem, mean: Tensor) -> GaussianProblem:
    """The Gaussian problem of the same slope and curvature at a mean; a Gaussian one as it is.

    Coefficients without a gate are found anew, given the mean of the others.

    Args:
        problem: The problem.
        mean: Mean of the gated coefficients, shape ``(p,)``.

    Raises:
        TypeError: If there is no such expansion for this kind of problem.
        ValueError: If the log likelihood has no finite curvature there.
        RuntimeError: If the curvature is singular.
    """
    raise TypeError(f"a {type(problem).__name__} has no expansion to a Gaussian problem")


@expand_at_mean.register
def _(problem: GaussianProblem, mean: Tensor) -> GaussianProblem:
    return problem


@expand_at_mean.register
def _(problem: GeneralisedProblem, mean: Tensor) -> GaussianProblem:
    fixed = problem.offset + problem.x @ mean
    if not problem.num_unpenalised:
        return working_problem(problem, fixed)
    # Start where each response alone would be: from far below a large count Newton's method overshoots.
    eta = problem.likelihood.starting_predictor(problem.y).expand(problem.num_rows)
    for _ in range(_NEWTON_STEPS):
        near = working_problem(problem, eta)
        weighted = problem.unpenalised * near.weights[:, None]
        precision = torch.diag(problem.unpenalised_scale.square().reciprocal())
        eta = fixed + problem.unpenalised @ torch.linalg.solve(
            weighted.T @ problem.unpenalised + precision, weighted.T @ (near.y - fixed)
        )
    return working_problem(problem, eta)
