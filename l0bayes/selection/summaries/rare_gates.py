r"""Coefficients of a generalised linear model given that a gate is open that hardly ever is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.kernels.evidence_grid import Evidences
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.importance_draws import ModelProposals
from l0bayes.selection.kernels.laplace import find_modes
from l0bayes.selection.kernels.split_law import factors_at, side_scales
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.level_block import LevelBlock, level_effects

__all__ = ["OpenedGate", "opened_gates"]

# Models in which a gate is opened, the most frequent ones, and draws of the coefficients of each.
_MODELS, _DRAWS = 24, 48
# Where scales on both sides of the mode of the most frequent of these differ less, in logarithms, a Normal
# law is good enough.
_NORMAL = 0.3
# With more rare gates than this it would take long.
_MOST_GATES = 48


@dataclass(frozen=True)
class OpenedGate:
    """Weighted draws of the coefficients of a gate's columns, the gate open.

    Attributes:
        columns: The columns, shape ``(c,)``.
        values: Draws, shape ``(K, c)``.
        weights: Their weights, which sum to 1, shape ``(K,)``.
    """

    columns: Tensor
    values: Tensor
    weights: Tensor


def opened_gates(
    problem: GeneralisedProblem, gates: Tensor, rare: Tensor, blocks: Sequence[LevelBlock]
) -> list[OpenedGate]:
    r"""Draws given that a gate is open, for gates that are open in few draws of models or in none.

    The gate is opened in the models m in which it is shut: given the others, it is open in proportion to

    .. math:: P(m) \frac{p(m \cup g)\,Z_{m \cup g}}{p(m)\,Z_m},

    with the evidence of the larger model by importance sampling, whose draws are those that are returned,
    and of the smaller one by Laplace's method.

    Args:
        problem: The problem.
        gates: A sample of models of equal weights, shape ``(S, G)``.
        rare: The gates, shape ``(r,)``.
        blocks: Columns that stand for levels; of these the effects of levels are drawn.

    Returns:
        Of gates their draws: not of those under which coefficients are nearly Normal, or that can be opened
        in no model by themselves; of none where there are very many.
    """
    if not 0 < len(rare) <= _MOST_GATES:
        return []
    models, counts = torch.unique(gates, dim=0, return_counts=True)
    of_gate: list[tuple[int, Tensor]] = []
    for gate in rare.tolist():
        shut = (models[:, gate] == 0).nonzero()[:, 0]
        most = shut[torch.argsort(counts[shut], descending=True, stable=True)[:_MODELS]]
        opened = models[most].clone()
        opened[:, gate] = 1.0
        possible = torch.isfinite(problem.prior.log_prob(opened))
        of_gate.append((gate, most[possible]))
    tops = {gate: models[index[0]].clone() for gate, index in of_gate if len(index)}
    for gate, top in tops.items():
        top[gate] = 1.0
    if not tops:
        return []
    modes = find_modes(problem, torch.stack(list(tops.values())), ridge_problem(problem))
    low, high = side_scales(problem, modes, factors_at(problem, modes))
    sides = torch.where(modes.held, torch.log(high / low).abs(), 0.0).amax(1)
    skewed = {gate: not float(side) <= _NORMAL for gate, side in zip(tops, sides, strict=True)}
    if not any(skewed.values()):
        return []
    below = torch.unique(torch.cat([index for _, index in of_gate]))
    start = ridge_problem(problem)
    smaller = find_modes(problem, models[below], start).log_evidence + problem.prior.log_prob(models[below])
    place = torch.full((len(models),), -1).index_copy(0, below, torch.arange(len(below)))
    found = []
    for gate, index in of_gate:
        if len(index) and skewed[gate]:
            opened = models[index].clone()
            opened[:, gate] = 1.0
            beside = problem.prior.log_prob(opened) - smaller[place[index]] + counts[index].log()
            found.append(_opened(problem, opened, beside, gate, blocks))
    return found


def _opened(
    problem: GeneralisedProblem, opened: Tensor, beside: Tensor, gate: int, blocks: Sequence[LevelBlock]
) -> OpenedGate:
    modes = find_modes(problem, opened, ridge_problem(problem))
    every = torch.ones(len(opened), dtype=torch.bool)
    proposals = ModelProposals(Evidences.of_one(problem, modes), every)
    draws = proposals.draw(torch.full((len(opened),), _DRAWS))
    weights = torch.softmax((draws.log_ratio + beside[draws.model]).nan_to_num(nan=-torch.inf), 0)
    k = problem.num_unpenalised
    full = torch.zeros(len(weights), k + problem.num_columns, dtype=torch.float64)
    row, slot = modes.held[draws.model].nonzero(as_tuple=True)
    full[row, modes.place[draws.model][row, slot]] = draws.values[row, slot]
    columns = (problem.groups == gate).nonzero()[:, 0]
    return OpenedGate(columns, level_effects(full[:, k:], blocks)[:, columns], weights)
