r"""Draws and conditional summaries of the coefficients of a generalised linear model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.importance_draws import SKEWED, ModelProposals, resampled
from l0bayes.selection.kernels.laplace import find_modes, refine_modes
from l0bayes.selection.kernels.resampling import systematic_indices
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem, working_problem
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.level_block import LevelBlock, level_effects
from l0bayes.selection.problem.selection_posterior import ModelDraws
from l0bayes.selection.summaries.coefficient_draws import Coefficients
from l0bayes.selection.summaries.gaussian_coefficients import gaussian_coefficients
from l0bayes.selection.summaries.rare_gates import OpenedGate, opened_gates

__all__ = ["generalised_coefficients", "learned_coefficients"]

# With at least so many draws in which its gate is open a coefficient is summarised by these draws.
_MIN_OPEN_DRAWS = 400
# Of each model so many times as many coefficients are tried as are wanted, and so many more.
_TRIES, _SKEWED_TRIES, _MORE_TRIES = 2, 5, 8
_CHUNK_ELEMENTS = 4_000_000


@torch.no_grad()
def generalised_coefficients(
    problem: GeneralisedProblem, draws: ModelDraws, *, seed: int = 0, blocks: Sequence[LevelBlock] = ()
) -> Coefficients:
    r"""Draw the coefficients of a generalised linear model, given its sample of models.

    Given a model, coefficients are draws about its mode that are resampled by the ratio of the exact joint
    density to that of the proposal
    (:class:`~l0bayes.selection.kernels.importance_draws.ModelProposals`), so that skewed posteriors, as those
    of few events, are drawn as they are. What is asked of a coefficient under the condition that its gate is
    open is read off the draws in which it is, where there are enough; else off models in which it is opened
    (:func:`~l0bayes.selection.summaries.rare_gates.opened_gates`); and where coefficients are nearly Normal,
    or there are very many such gates, it is computed as in
    :func:`~l0bayes.selection.summaries.gaussian_coefficients.gaussian_coefficients` for the Gaussian problem
    that has the same slope and curvature at the posterior mean.

    Args:
        problem: The problem.
        draws: Models as an engine gives them, equally weighted.
        seed: Seed of the draws.
        blocks: Columns that stand for levels; of these the effects of levels are drawn and described.
    """
    with private_randomness(seed):
        drawn = _drawn(problem, draws.gates)
    return _summarised(problem, drawn, draws, seed, blocks)


@torch.no_grad()
def learned_coefficients(
    problem: LearnedProblem, draws: ModelDraws, *, seed: int = 0, blocks: Sequence[LevelBlock] = ()
) -> Coefficients:
    """The same of a problem with numbers that are learned, given those of every draw.

    Args:
        problem: The problem.
        draws: Models and numbers as an engine gives them, equally weighted.
        seed: Seed of the draws.
        blocks: Columns that stand for levels; of these the effects of levels are drawn and described.
    """
    assert draws.scalars is not None
    nodes, which = torch.unique(draws.scalars.log(), dim=0, return_inverse=True)
    drawn = torch.zeros(len(which), problem.num_unpenalised + problem.num_columns, dtype=torch.float64)
    with private_randomness(seed):
        for number, logs in enumerate(nodes):
            rows = (which == number).nonzero()[:, 0]
            drawn[rows] = _drawn(problem.at(logs), draws.gates[rows])
    middle = problem.at(draws.scalars.log().mean(0))
    return _summarised(middle, drawn, draws, seed, blocks)


def _drawn(problem: GeneralisedProblem, gates: Tensor) -> Tensor:
    """Coefficients given models, shape ``(S, k + p)``."""
    models, which, counts = torch.unique(gates, dim=0, return_inverse=True, return_counts=True)
    k, start = problem.num_unpenalised, ridge_problem(problem)
    drawn = torch.zeros(len(which), k + problem.num_columns, dtype=torch.float64)
    sizes = models[:, problem.groups].sum(1) + k
    order = torch.argsort(sizes)
    widest = max(1, int(sizes.max()))
    by_model = torch.argsort(which, stable=True)
    first = counts.cumsum(0) - counts
    for index in order.split(max(1, _CHUNK_ELEMENTS // (problem.num_rows * widest))):
        modes = find_modes(problem, models[index], start)
        skewed = ~(refine_modes(problem, modes).correction.abs() <= SKEWED)
        tries = torch.where(skewed, _SKEWED_TRIES, _TRIES) * counts[index] + _MORE_TRIES
        proposed = ModelProposals.of_modes(problem, modes, skewed).draw(tries)
        chosen = resampled(proposed, counts[index])
        model, values = proposed.model[chosen], proposed.values[chosen]
        step = torch.arange(len(model)) - (counts[index].cumsum(0) - counts[index])[model]
        rows = by_model[first[index[model]] + step]
        row, slot = modes.held[model].nonzero(as_tuple=True)
        drawn[rows[row], modes.place[model][row, slot]] = values[row, slot]
    return drawn


def _summarised(
    problem: GeneralisedProblem, drawn: Tensor, draws: ModelDraws, seed: int, blocks: Sequence[LevelBlock]
) -> Coefficients:
    k = problem.num_unpenalised
    unpenalised, beta = drawn[:, :k], drawn[:, k:]
    eta = problem.offset + problem.unpenalised @ unpenalised.mean(0) + problem.x @ beta.mean(0)
    ones = torch.ones(len(drawn), dtype=torch.float64)
    working = working_problem(problem, eta)
    # What the likelihood learned is in the working problem, whose own learned number would be a slab scale.
    models = replace(draws, variances=ones, scalars=None)
    near = gaussian_coefficients(working, models, seed=seed, blocks=blocks)
    found = _with_own(
        near, unpenalised, level_effects(beta, blocks), draws.gates[:, problem.groups] > 0, ones
    )
    rare = (draws.gates.sum(0) < _MIN_OPEN_DRAWS).nonzero()[:, 0]
    with private_randomness(seed + 1):
        for gate in opened_gates(problem, draws.gates, rare, blocks):
            _put(found, gate)
    return found


def _put(found: Coefficients, gate: OpenedGate) -> None:
    """Summaries of the columns of a gate from draws with it open."""
    columns, values, weights = gate.columns, gate.values, gate.weights
    mean = weights @ values
    found.conditional_mean[columns] = mean
    found.conditional_sd[columns] = (weights @ (values - mean).square()).sqrt()
    found.positive[columns] = weights @ (values > 0).double()
    chosen = systematic_indices(weights, len(found.conditional_draws))
    shuffled = chosen[torch.randperm(len(chosen))]
    found.conditional_draws[:, columns] = values[shuffled]


def _with_own(
    near: Coefficients, unpenalised: Tensor, beta: Tensor, opened: Tensor, ones: Tensor
) -> Coefficients:
    """Summaries from the draws in which a gate is open, for columns with enough of them."""
    mean, sd = near.conditional_mean.clone(), near.conditional_sd.clone()
    positive, conditional = near.positive.clone(), near.conditional_draws.clone()
    counts = opened.sum(0)
    for column in (counts >= _MIN_OPEN_DRAWS).nonzero()[:, 0].tolist():
        own = beta[opened[:, column], column]
        mean[column], sd[column] = own.mean(), own.std()
        positive[column] = (own > 0).double().mean()
        places = (torch.arange(len(beta)) * len(own)) // len(beta)
        conditional[:, column] = own[places]
    return Coefficients(beta, unpenalised, ones, mean, sd, conditional, positive)
