r"""Draws and conditional summaries of the coefficients of a linear regression, from a sample of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.level_block import LevelBlock, hidden_shares, level_effects
from l0bayes.selection.problem.selection_posterior import ModelDraws
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.summaries.coefficient_draws import Coefficients

__all__ = ["ConditionalPart", "assembled_coefficients", "gaussian_coefficients"]

_CHUNK_ELEMENTS = 20_000_000


@torch.no_grad()
def gaussian_coefficients(
    problem: GaussianProblem, draws: ModelDraws, *, seed: int = 0, blocks: Sequence[LevelBlock] = ()
) -> Coefficients:
    r"""Draw the coefficients of a Gaussian posterior, given its sample of models.

    Given a model and the noise, coefficients are Normal. Summaries given that a gate is open are averages
    over all models of the sample, also those in which it is shut, each weighted by the gate's exact
    conditional probability of being open. So there are summaries for gates that are rarely open, too.

    Args:
        problem: The problem.
        draws: Models and noise variances with their weights, as an engine gives them; with ``scalars`` where
            slab scales are multiplied by a number of each.
        seed: Seed of the draws.
        blocks: Columns that stand for levels; of these the effects of levels are drawn and described.
    """
    return assembled_coefficients(problem, draws, partial(_conditionals, problem, blocks), seed, blocks)


@dataclass(frozen=True)
class ConditionalPart:
    """Conditionals of a chunk of models.

    Attributes:
        sets: The models.
        open_: Probability that each column's gate is open given the others, shape ``(M, p)``.
        mean, variance: Of each coefficient if its gate were open, shape ``(M, p)``.
        draw: From the number of a model and a noise variance for each draw, both of shape ``(S,)``, to draws
            of all active columns together, in the order of the sets, zeros elsewhere.
    """

    sets: ActiveSets
    open_: Tensor
    mean: Tensor
    variance: Tensor
    draw: Callable[[Tensor, Tensor], Tensor]


def assembled_coefficients(
    problem: SelectionProblem,
    draws: ModelDraws,
    conditionals: Callable[[ModelDraws], ConditionalPart],
    seed: int,
    blocks: Sequence[LevelBlock],
) -> Coefficients:
    """Draws and summaries from the conditionals of the distinct models of a sample.

    Args:
        problem: The problem.
        draws: Models and noise variances with their weights.
        conditionals: From distinct models, with what else a draw has, to their conditionals.
        seed: Seed of the draws.
        blocks: Columns that stand for levels.
    """
    models, which = _distinct(draws)
    size = max(1, _CHUNK_ELEMENTS // (problem.num_columns * 24))
    with private_randomness(seed):
        places = torch.arange(len(models.variances)).split(size)
        parts = [conditionals(models.some(place, models.weights[place])) for place in places]
        return _assemble(problem, draws, which, parts, size, blocks)


def _distinct(draws: ModelDraws) -> tuple[ModelDraws, Tensor]:
    """Distinct models with their noise variances and scalars, and the index of every draw among them."""
    learned = 0 if draws.scalars is None else draws.scalars.shape[1]
    beside = (
        [draws.variances[:, None]] if draws.scalars is None else [draws.variances[:, None], draws.scalars]
    )
    rows, count = torch.cat([draws.gates, *beside], 1), draws.gates.shape[1]
    unique, which = torch.unique(rows, dim=0, return_inverse=True)
    weights = torch.zeros(len(unique), dtype=torch.float64).index_add_(0, which, draws.weights)
    nothing = torch.zeros(len(unique), dtype=torch.long)
    scalars = unique[:, count + 1 :] if learned else None
    return ModelDraws(unique[:, :count], unique[:, count], weights, nothing, scalars), which


def _conditionals(
    problem: GaussianProblem, blocks: Sequence[LevelBlock], models: ModelDraws
) -> ConditionalPart:
    gates, variances = models.gates, models.variances
    log_scale = None if models.scalars is None else models.scalars[:, 0].log()
    sets = active_sets(problem, gates.bool(), variances, log_scale)
    odds = sets.log_odds() + problem.prior.conditional_log_odds(gates)
    columns = sets.columns - sets.fixed
    mean, variance = sets.conditional_moments()
    mean, variance = level_effects(mean[:, columns], blocks), variance[:, columns]
    if blocks:
        # What no response shows is independent of the rest, and has the variance that the prior gave it.
        hidden = hidden_shares(problem.slab_scale, blocks) * problem.slab_variance(variances)
        hidden = hidden if models.scalars is None else hidden * models.scalars.square()
        variance = torch.where(hidden > 0, (variance - hidden).clamp(min=1e-300), variance)
    open_ = torch.sigmoid(odds)[:, problem.groups]
    return ConditionalPart(sets, open_, mean, variance, partial(_joint_draws, sets))


def _assemble(
    problem: SelectionProblem,
    draws: ModelDraws,
    which: Tensor,
    parts: list[ConditionalPart],
    size: int,
    blocks: Sequence[LevelBlock],
) -> Coefficients:
    count, p, k = len(which), problem.num_columns, problem.num_unpenalised
    beta = torch.zeros(count, p, dtype=torch.float64)
    unpenalised = torch.zeros(count, k, dtype=torch.float64)
    for index, part in enumerate(parts):
        rows = ((which >= index * size) & (which < (index + 1) * size)).nonzero()[:, 0]
        if len(rows):
            drawn = part.draw(which[rows] - index * size, draws.variances[rows])
            unpenalised[rows] = drawn[:, :k]
            beta[rows] = drawn[:, part.sets.columns]
    open_ = torch.cat([part.open_ for part in parts])[which] * draws.weights[:, None]
    mean = torch.cat([part.mean for part in parts])[which]
    variance = torch.cat([part.variance for part in parts])[which]
    share = open_ / open_.sum(0).clamp(min=1e-300)
    conditional_mean = (share * mean).sum(0)
    spread = (share * (variance + (mean - conditional_mean).square())).sum(0)
    positive = (share * torch.special.ndtr(mean / variance.sqrt())).sum(0)
    cumulative = share.cumsum(0)
    places = (torch.arange(count, dtype=torch.float64) + torch.rand((), dtype=torch.float64)) / count
    chosen = torch.searchsorted(
        (cumulative / cumulative[-1]).T.contiguous(), places.expand(p, count).contiguous()
    )
    chosen = chosen.T.clamp(max=count - 1)
    noise = torch.randn(count, p, dtype=torch.float64)
    conditional = mean.gather(0, chosen) + variance.gather(0, chosen).sqrt() * noise
    return Coefficients(
        level_effects(beta, blocks),
        unpenalised,
        draws.variances.sqrt(),
        conditional_mean,
        spread.sqrt(),
        conditional,
        positive,
    )


def _joint_draws(sets: ActiveSets, rows: Tensor, variances: Tensor) -> Tensor:
    """Draws of all active columns together, zeros elsewhere, shape ``(len(rows), N)``."""
    unheld = torch.diag_embed((~sets.held).to(torch.float64))
    factor = torch.linalg.cholesky(sets.inverse + unheld)
    noise = torch.randn(len(rows), sets.held.shape[1], 1, dtype=torch.float64)
    deviation = (factor[rows] @ noise)[..., 0]
    if sets.conjugate is not None:  # variances are in units of the noise
        deviation = deviation * variances.sqrt()[:, None]
    mean = torch.where(sets.active, sets.residual, 0.0)[rows]
    row, slot = sets.held[rows].nonzero(as_tuple=True)
    mean[row, sets.place[rows][row, slot]] += deviation[row, slot]
    return mean
