r"""All models of a problem with Zellner's slabs, for problems with few gates."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from l0bayes.selection.engines.engine import Progress
from l0bayes.selection.engines.enumeration import Enumeration
from l0bayes.selection.engines.gaussian_enumeration import log_odds_of
from l0bayes.selection.kernels.elimination import ModelTree
from l0bayes.selection.kernels.model_table import gate_sums, gates_of, log_priors, open_sums
from l0bayes.selection.kernels.one_thread import one_thread
from l0bayes.selection.kernels.resampling import independent_indices
from l0bayes.selection.kernels.zellner_draws import draw_noise, hidden_variance
from l0bayes.selection.problem.selection_posterior import ModelDraws
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.factor_table import FactorTable

__all__ = ["enumerate_zellner"]

# So many models are asked for their Bayes factors at a time.
_CHUNK = 2**18


@one_thread()
def enumerate_zellner(problem: ZellnerProblem, num_draws: int, progress: Progress) -> Enumeration:
    r"""The exact posterior: every model's R² and rank, its Bayes factor, and moments averaged over g.

    Given a model, with :math:`s = g/(1+g)` and the least squares fit :math:`\hat\beta`,

    .. math:: E[\beta] = E[s]\,\hat\beta, \qquad
        E[\beta\beta'] = E[s^2]\,\hat\beta\hat\beta'
        + \frac{\tilde y'W\tilde y}{\nu - 2}\bigl(E[s] - R^2 E[s^2]\bigr)(\tilde X'W\tilde X)^{-1},

    which for all models together come from the way back through the tree of eliminations.

    Args:
        problem: The problem.
        num_draws: Size of the sample of models.
        progress: Called with the share of the work that is done.
    """
    system, setting = problem.system, problem.setting
    log_prior = log_priors(problem.prior, problem.num_groups)
    quadratic, rank = log_prior.new_empty(len(log_prior)), torch.empty(len(log_prior), dtype=torch.int32)
    shape = ModelTree.shape(problem.num_groups)
    for chunk in _tree(problem).chunks():
        assert chunk.rank is not None
        quadratic.view(shape)[:, chunk.place], rank.view(shape)[:, chunk.place] = chunk.quadratic, chunk.rank
    progress(0.2)
    if bool(system.hidden.any()):
        rank = rank - open_sums(system.hidden.int())
    r2 = (2.0 / system.total * quadratic).clamp_(0.0, system.largest_r2)
    slab = problem.slab.settled(setting, rank, r2, log_prior)
    factors = FactorTable(slab, setting, system.largest_r2)
    log_weight, first, second = (torch.cat(parts) for parts in zip(*_factors(factors, rank, r2), strict=True))
    log_weight += log_prior
    total = torch.logsumexp(log_weight, 0)
    probability = (log_weight - total).exp()
    progress(0.6)
    spread = probability * (system.total / (setting.degrees - 2.0)) * (first - r2 * second)
    tree = _tree(problem)
    outer, inverse, weight = (one.view(shape) for one in (probability * second, spread, probability * first))
    for chunk in tree.chunks():
        chunk.weigh(outer[:, chunk.place], inverse=inverse[:, chunk.place], mean=weight[:, chunk.place])
    mean, second_moment, _ = tree.moments()
    settled = problem.replace(slab=slab)
    hidden = gate_sums(spread).opened[problem.groups] * hidden_variance(problem)
    chosen = independent_indices(probability, num_draws)
    log_odds = log_odds_of(
        log_prior,
        probability,
        lambda side: float(torch.logsumexp(log_weight[side], 0)),
        float(total),
    )
    return Enumeration(
        probabilities=probability,
        log_evidence=float(total) + problem.log_null,
        mean=mean,
        second_moment=second_moment - hidden,
        draws=ModelDraws(
            gates_of(chosen, problem.num_groups).double(),
            draw_noise(settled, rank[chosen], r2[chosen]),
            torch.full((num_draws,), 1.0 / num_draws, dtype=torch.float64),
            torch.zeros(num_draws, dtype=torch.long),
        ),
        log_odds=log_odds,
        problem=settled,
    )


def _tree(problem: ZellnerProblem) -> ModelTree:
    system = problem.system
    return ModelTree(system.matrix, system.vector, problem.group_columns, least=system.least, repeats=True)


def _factors(factors: FactorTable, rank: Tensor, r2: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Log Bayes factors and the two mean shrinkages, so many models at a time."""
    for ranks, shares in zip(rank.split(_CHUNK), r2.split(_CHUNK), strict=True):
        yield factors.exact_factors(ranks, shares), *factors.shrinkages(ranks, shares)
