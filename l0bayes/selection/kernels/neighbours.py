r"""Whether a sampler of models has missed a probable one: models one flip from the best are checked."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.kernels.laplace import Modes, find_modes
from l0bayes.selection.kernels.response_terms import terms_of
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem

__all__ = ["missed_probability"]

# Largest number of gates to open, the most promising first, whose evidence is computed.
_MOST_OPENED = 48


def missed_probability(
    problem: GeneralisedProblem, near: GaussianProblem, gates: Tensor, modes: Modes
) -> float:
    r"""Odds of the most probable model that is one flip from the best one and not in the sample.

    The odds are relative to the best model of the sample. Gates to open are those with the largest score
    statistics at its mode,

    .. math:: \sum_{j \in g} \frac{(x_j'\ell')^2}{x_j'Wx_j + \tau_j},

    with the slope ℓ' and curvature W of the exact log likelihood; all open gates are tried shut.

    Args:
        problem: The problem.
        near: A Gaussian problem at whose modes the search for modes starts.
        gates: Distinct models that were sampled, shape ``(M, G)``.
        modes: Their modes.
    """
    scores = modes.log_evidence + problem.prior.log_prob(gates)
    best = int(scores.argmax())
    top = gates[best]
    shut = (top == 0).nonzero()[:, 0]
    statistic = _scores(problem, modes, best)[shut]
    opened = shut[statistic.topk(min(_MOST_OPENED, len(shut))).indices]
    flipped = torch.cat([opened, (top == 1).nonzero()[:, 0]])
    distance = (gates - top).abs()
    seen = torch.zeros(len(top), dtype=torch.bool)
    seen[distance[distance.sum(1) == 1].argmax(1)] = True
    flipped = flipped[~seen[flipped]]
    if not len(flipped):
        return 0.0
    neighbours = top.repeat(len(flipped), 1)
    rows = torch.arange(len(flipped))
    neighbours[rows, flipped] = 1.0 - neighbours[rows, flipped]
    found = find_modes(problem, neighbours, near).log_evidence + problem.prior.log_prob(neighbours)
    return float((found.max() - scores[best]).exp())


def _scores(problem: GeneralisedProblem, modes: Modes, model: int) -> Tensor:
    """Score statistic of every gate at the mode of a model, shape ``(G,)``."""
    held = modes.held[model]
    columns = problem.columns[:, modes.place[model][held]]
    eta = problem.offset + columns @ modes.coefficients[model][held]
    slope_of_rows, curvature_of_rows = terms_of(problem).rows(eta)
    slope = problem.x.T @ slope_of_rows
    curvature = problem.x.square().T @ curvature_of_rows + problem.slab_scale**-2
    by_gate = slope.new_zeros(problem.num_groups)
    return by_gate.index_add_(0, problem.groups, slope.square() / curvature)
