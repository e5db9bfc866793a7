r"""Draws and moments of the coefficients under Zellner's slabs, from a sample of models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from l0bayes.selection.kernels.zellner_draws import draw_shrinkage
from l0bayes.selection.kernels.zellner_sets import ZellnerSets, zellner_sets
from l0bayes.selection.problem.level_block import LevelBlock, level_effects
from l0bayes.selection.problem.selection_posterior import ModelDraws
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.factor_table import FactorTable
from l0bayes.selection.summaries.coefficient_draws import Coefficients
from l0bayes.selection.summaries.gaussian_coefficients import ConditionalPart, assembled_coefficients

__all__ = ["zellner_coefficients", "zellner_moments"]

_CHUNK_ELEMENTS = 20_000_000
_OTHER = 0x5BD1E995


@torch.no_grad()
def zellner_coefficients(
    problem: ZellnerProblem, draws: ModelDraws, *, seed: int = 0, blocks: Sequence[LevelBlock] = ()
) -> Coefficients:
    r"""As :func:`~l0bayes.selection.summaries.gaussian_coefficients.gaussian_coefficients`: given a model and
    σ², first :math:`s = g/(1+g)` is drawn, then
    :math:`\beta \sim N(s\hat\beta, s\sigma^2 (\tilde X'W\tilde X)^{-1})`.

    Args:
        problem: The problem.
        draws: Models and noise variances with their weights, as an engine gives them.
        seed: Seed of the draws.
        blocks: Columns that stand for levels; of these the effects of levels are drawn and described.
    """
    # Models and noises were chosen by uniform numbers of this seed: shrinkages are by others.
    own = (seed ^ _OTHER) & 0x7FFFFFFF
    return assembled_coefficients(problem, draws, partial(_conditionals, problem, blocks), own, blocks)


def _conditionals(
    problem: ZellnerProblem, blocks: Sequence[LevelBlock], models: ModelDraws
) -> ConditionalPart:
    gates = models.gates
    sets = zellner_sets(problem, gates.bool())
    odds = sets.log_odds() + problem.prior.conditional_log_odds(gates)
    columns = sets.columns - sets.fixed
    mean, variance = sets.conditional_moments()
    mean, variance = level_effects(mean[:, columns], blocks), variance[:, columns].clamp(min=1e-300)
    open_ = torch.sigmoid(odds)[:, problem.groups]
    return ConditionalPart(sets, open_, mean, variance, partial(_joint_draws, problem, sets))


def _joint_draws(problem: ZellnerProblem, sets: ZellnerSets, rows: Tensor, variances: Tensor) -> Tensor:
    rank, r2 = sets.fit
    shrunk = draw_shrinkage(problem, rank[rows], r2[rows], variances)
    fitted, factor = sets.fit_of_slots()
    noise = torch.randn(len(rows), fitted.shape[1], 1, dtype=torch.float64)
    deviation = (factor[rows] @ noise)[..., 0] * (shrunk * variances).sqrt()[:, None]
    values = shrunk[:, None] * fitted[rows] + deviation
    drawn = torch.zeros(len(rows), sets.active.shape[1], dtype=torch.float64)
    gated = (sets.held & (sets.place >= sets.fixed))[rows]
    row, slot = gated.nonzero(as_tuple=True)
    drawn[row, sets.place[rows][row, slot]] = values[row, slot]
    if sets.fixed:
        drawn[:, : sets.fixed] = _fixed_draws(problem, drawn[:, sets.columns], variances)
    return drawn


def _fixed_draws(problem: ZellnerProblem, beta: Tensor, variances: Tensor) -> Tensor:
    """Draws of the coefficients without a gate given the others, shape ``(S, k)``."""
    columns = problem.unpenalised * problem.weights[:, None]
    factor = torch.linalg.cholesky(columns.T @ problem.unpenalised)
    left = columns.T @ (problem.y - problem.offset) - beta @ (columns.T @ problem.x).T
    mean = torch.cholesky_solve(left.T, factor).T
    noise = torch.randn(len(beta), factor.shape[0], dtype=torch.float64) * variances.sqrt()[:, None]
    drawn: Tensor = mean + torch.linalg.solve_triangular(factor.mT, noise.T, upper=True).T
    return drawn


@torch.no_grad()
def zellner_moments(problem: ZellnerProblem, draws: ModelDraws) -> tuple[Tensor, Tensor]:
    r"""Mean and covariance of all coefficients, g and the noise averaged over given each model of the sample.

    With :math:`C = (U'WU)^{-1}U'W`, coefficients without a gate are :math:`C(y - o) - CX\beta` and an error
    of their own, :math:`E[\sigma^2]\,(U'WU)^{-1}`.

    Args:
        problem: The problem.
        draws: A sample of models.

    Returns:
        Mean, shape ``(k + p,)``, columns without a gate first, and covariance, shape ``(k + p, k + p)``.
    """
    models, which = torch.unique(draws.gates, dim=0, return_inverse=True)
    weights = torch.zeros(len(models), dtype=torch.float64).index_add_(0, which, draws.weights)
    weights = weights / weights.sum()
    k, p, setting = problem.num_unpenalised, problem.num_columns, problem.setting
    scale = problem.system.total / (setting.degrees - 2.0)
    factors = FactorTable(problem.slab, setting, problem.system.largest_r2)
    mean, second, noise = problem.y.new_zeros(p), problem.y.new_zeros(p, p), problem.y.new_zeros(())
    size = max(1, _CHUNK_ELEMENTS // (p * max(24, p)))
    for some, share in zip(models.split(size), weights.split(size), strict=True):
        sets = zellner_sets(problem, some.bool(), factors)
        rank, r2 = sets.fit
        first, squared = factors.shrinkages(rank, r2)
        fitted, factor = sets.fit_of_slots()
        gated = sets.held & (sets.place >= sets.fixed)
        number = sets.order[sets.place] - k
        gated = gated & (number < p)
        number = torch.where(gated, number, 0)
        values = torch.where(gated, fitted, 0.0)
        mean.index_add_(0, number.flatten(), (values * (share * first)[:, None]).flatten())
        spread = scale * (first - r2 * squared)
        block = (factor @ factor.mT) * (share * spread)[:, None, None]
        block = block + values[:, :, None] * values[:, None, :] * (share * squared)[:, None, None]
        block = torch.where(gated[:, :, None] & gated[:, None, :], block, 0.0)
        index = number[:, :, None] * p + number[:, None, :]
        second.view(-1).index_add_(0, index.flatten(), block.flatten())
        noise = noise + share @ (scale * (1.0 - r2 * first))
    covariance = second - mean[:, None] * mean
    if not k:
        return mean, 0.5 * (covariance + covariance.T)
    columns = problem.unpenalised * problem.weights[:, None]
    inverse = torch.linalg.inv(columns.T @ problem.unpenalised)
    slope = inverse @ columns.T @ problem.x
    alpha = inverse @ (columns.T @ (problem.y - problem.offset)) - slope @ mean
    cross = -slope @ covariance
    upper = torch.cat([slope @ covariance @ slope.T + noise * inverse, cross], 1)
    whole = torch.cat([upper, torch.cat([cross.T, covariance], 1)])
    return torch.cat([alpha, mean]), 0.5 * (whole + whole.T)
