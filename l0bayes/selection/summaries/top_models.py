r"""The most probable models."""

from __future__ import annotations

import math
from functools import singledispatch

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.noise_grid import noise_rule
from l0bayes.selection.kernels.zellner_sets import zellner_sets
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.factor_table import FactorTable

__all__ = ["top_models"]

# So many times the models asked for are compared: the sample may have those of similar probability in the
# wrong order.
_SPARE = 4


@torch.no_grad()
def top_models(posterior: SelectionPosterior, count: int = 10) -> tuple[Tensor, Tensor]:
    r"""The most probable models, and how probable they are.

    These are the most frequent models of the sample. If the engine gives the log evidence and the likelihood
    is Gaussian, :math:`p(\gamma \mid D) = p(\gamma)\,p(D \mid \gamma) / p(D)` is computed for each; otherwise
    its share of the sample is returned.

    Args:
        posterior: The posterior from an engine.
        count: How many at most.

    Returns:
        Models as zeros and ones, shape ``(m, G)``, and their probabilities, shape ``(m,)``; the most
        probable first.

    Raises:
        ValueError: If ``count`` is not positive.
    """
    validate.at_least(1, count=count)
    draws = posterior.draws
    models, which = torch.unique(draws.gates, dim=0, return_inverse=True)
    share = torch.zeros(len(models), dtype=torch.float64).index_add_(0, which, draws.weights)
    kept = torch.argsort(share, descending=True, stable=True)[: _SPARE * count]
    models, share = models[kept], share[kept]
    if math.isfinite(posterior.log_evidence) and _has_constant(posterior.problem):
        evidences = _log_evidences(posterior.problem, models)
        if evidences is not None:
            share = torch.exp(evidences - posterior.log_evidence)
            order = torch.argsort(share, descending=True, stable=True)
            models, share = models[order], share[order]
    return models[:count], share[:count]


@singledispatch
def _has_constant(problem: SelectionProblem) -> bool:
    """Whether evidences are compared by their constants, too: with a flat prior they lack one."""
    return bool(torch.isfinite(problem.unpenalised_scale).all())


@_has_constant.register
def _(problem: ZellnerProblem) -> bool:
    return True  # the one that both lack is the same


@singledispatch
def _log_evidences(problem: SelectionProblem, models: Tensor) -> Tensor | None:
    """Log p(γ) p(D | γ), the noise integrated out, where it has a closed form."""
    return None


@_log_evidences.register
def _(problem: GaussianProblem, models: Tensor) -> Tensor | None:
    # So that no noise is integrated out.
    known = problem.replace(noise=1.0)
    prior = problem.prior.log_prob(models.double())

    def at(variance: Tensor) -> Tensor:
        log_likelihood: Tensor = active_sets(known, models, variance.expand(len(models))).log_likelihood
        return log_likelihood + prior

    rule = noise_rule(problem, lambda variance: torch.logsumexp(at(variance), 0))
    values = torch.stack([at(variance) for variance in rule.variances]) + rule.log_weights[:, None]
    total: Tensor = torch.logsumexp(values, 0)
    return total


@_log_evidences.register
def _(problem: ZellnerProblem, models: Tensor) -> Tensor:
    factors = FactorTable(problem.slab, problem.setting, problem.system.largest_r2)
    rank, r2 = zellner_sets(problem, models.bool(), factors).fit
    return problem.log_null + problem.prior.log_prob(models.double()) + factors.exact_factors(rank, r2)
