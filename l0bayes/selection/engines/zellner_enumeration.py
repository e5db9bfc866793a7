r"""All models of a problem with Zellner's slabs, for problems with few gates."""

from __future__ import annotations

import torch

from l0bayes.selection.engines.engine import Progress
from l0bayes.selection.engines.enumeration import Enumeration
from l0bayes.selection.engines.gaussian_enumeration import log_odds_of
from l0bayes.selection.kernels.elimination import all_models
from l0bayes.selection.kernels.least_squares_tree import all_fits
from l0bayes.selection.kernels.resampling import independent_indices
from l0bayes.selection.kernels.zellner_draws import draw_noise, hidden_variance
from l0bayes.selection.problem.selection_posterior import ModelDraws
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.factor_table import FactorTable

__all__ = ["enumerate_zellner"]


def enumerate_zellner(problem: ZellnerProblem, num_draws: int, progress: Progress) -> Enumeration:
    r"""The exact posterior: every model's R² and rank, its Bayes factor, and moments averaged over g.

    Given a model, with :math:`s = g/(1+g)` and the least squares fit :math:`\hat\beta`,

    .. math:: E[\beta] = E[s]\,\hat\beta, \qquad
        E[\beta\beta'] = E[s^2]\,\hat\beta\hat\beta'
        + \frac{\tilde y'W\tilde y}{\nu - 2}\bigl(E[s] - R^2 E[s^2]\bigr)(\tilde X'W\tilde X)^{-1},

    which for all models together are derivatives of the tree of fits.

    Args:
        problem: The problem.
        num_draws: Size of the sample of models.
        progress: Called with the share of the work that is done.
    """
    system, setting = problem.system, problem.setting
    models = all_models(problem.num_groups)
    gates = models.double()
    log_prior = problem.prior.log_prob(gates)
    matrix, vector = system.matrix.clone().requires_grad_(), system.vector.clone().requires_grad_()
    with torch.enable_grad():
        fits = all_fits(matrix, vector, system.least, problem.group_columns)
    progress(0.3)
    rank = fits.rank.long()
    if bool(system.hidden.any()):
        rank = rank - models @ system.hidden
    r2 = (2.0 / system.total * fits.quadratic.detach()).clamp(0.0, system.largest_r2)
    slab = problem.slab.settled(setting, rank, r2, log_prior)
    factors = FactorTable(slab, setting, system.largest_r2)
    log_weight = factors.exact_factors(rank, r2) + log_prior
    total = torch.logsumexp(log_weight, 0)
    probability = (log_weight - total).exp()
    first, second = factors.shrinkages(rank, r2)
    noise = system.total / (setting.degrees - 2.0) * (first - r2 * second)
    progress(0.6)
    with torch.enable_grad():
        (mean,) = torch.autograd.grad(
            fits.quadratic, vector, grad_outputs=probability * first, retain_graph=True
        )
        (by_matrix,) = torch.autograd.grad(
            (fits.quadratic, fits.determinant),
            matrix,
            grad_outputs=(probability * second, probability * noise),
        )
    settled = problem.replace(slab=slab)
    hidden = (gates.T @ (probability * noise))[problem.groups] * hidden_variance(problem)
    chosen = independent_indices(probability, num_draws)
    log_odds = log_odds_of(
        models,
        log_prior,
        probability,
        lambda side: float(torch.logsumexp(log_weight[side], 0)),
        float(total),
    )
    return Enumeration(
        models=models,
        probabilities=probability,
        log_evidence=float(total) + problem.log_null,
        mean=mean,
        second_moment=-2.0 * by_matrix.diagonal() - hidden,
        draws=ModelDraws(
            gates[chosen],
            draw_noise(settled, rank[chosen], r2[chosen]),
            torch.full((num_draws,), 1.0 / num_draws, dtype=torch.float64),
            torch.zeros(num_draws, dtype=torch.long),
        ),
        log_odds=log_odds,
        problem=settled,
    )
