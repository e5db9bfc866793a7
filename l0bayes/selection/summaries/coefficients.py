r"""Draws and conditional summaries of the coefficients of any posterior."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.summaries.coefficient_draws import Coefficients
from l0bayes.selection.summaries.gaussian_coefficients import gaussian_coefficients
from l0bayes.selection.summaries.generalised_coefficients import (
    generalised_coefficients,
    learned_coefficients,
)
from l0bayes.selection.summaries.zellner_coefficients import zellner_coefficients

__all__ = ["coefficients_of"]


def coefficients_of(
    posterior: SelectionPosterior, *, seed: int = 0, blocks: Sequence[LevelBlock] = ()
) -> Coefficients:
    """Draw the coefficients of a posterior, given its sample of models.

    Given a model and the noise, coefficients of a Gaussian problem are Normal; those of a generalised one
    are drawn about the mode and resampled by their exact density.

    Args:
        posterior: The posterior; of a generalised problem its draws must be equally weighted.
        seed: Seed of the draws.
        blocks: Columns that stand for levels; of these the effects of levels are drawn and described.
    """
    return _draw(posterior.problem, posterior.draws, seed, blocks)


@singledispatch
def _draw(
    problem: SelectionProblem, draws: ModelDraws, seed: int, blocks: Sequence[LevelBlock]
) -> Coefficients:
    raise TypeError(f"there are no draws of coefficients for a {type(problem).__name__}")


@_draw.register
def _(problem: GaussianProblem, draws: ModelDraws, seed: int, blocks: Sequence[LevelBlock]) -> Coefficients:
    return gaussian_coefficients(problem, draws, seed=seed, blocks=blocks)


@_draw.register
def _(
    problem: GeneralisedProblem, draws: ModelDraws, seed: int, blocks: Sequence[LevelBlock]
) -> Coefficients:
    return generalised_coefficients(problem, draws, seed=seed, blocks=blocks)


@_draw.register
def _(problem: LearnedProblem, draws: ModelDraws, seed: int, blocks: Sequence[LevelBlock]) -> Coefficients:
    return learned_coefficients(problem, draws, seed=seed, blocks=blocks)


@_draw.register
def _(problem: ZellnerProblem, draws: ModelDraws, seed: int, blocks: Sequence[LevelBlock]) -> Coefficients:
    return zellner_coefficients(problem, draws, seed=seed, blocks=blocks)


@_draw.register
def _(
    problem: LearnedSlabProblem, draws: ModelDraws, seed: int, blocks: Sequence[LevelBlock]
) -> Coefficients:
    return gaussian_coefficients(problem.given, draws, seed=seed, blocks=blocks)
