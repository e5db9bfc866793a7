r"""Log evidences of the models of a sample, for importance weights."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.laplace import find_modes, refine_modes
from l0bayes.selection.kernels.zellner_sets import zellner_sets
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.factor_table import FactorTable

__all__ = ["has_evidences", "log_evidences"]

_CHUNK = 512


@torch.no_grad()
def log_evidences(problem: SelectionProblem, draws: ModelDraws) -> Tensor | None:
    r"""Of each draw :math:`\log p(\sigma^2)\,p(D \mid \gamma, \sigma^2)`, with the coefficients integrated
    out, and the noise too where it does not matter which was drawn; shape ``(S,)``. ``None`` where it is not
    known.

    Args:
        problem: The problem.
        draws: Models, and noise variances.
    """
    return _evidences(problem, draws)


def has_evidences(problem: SelectionProblem) -> bool:
    """Whether the models of such problems have evidences that :func:`log_evidences` knows.

    Args:
        problem: The problem.
    """
    return _evidences.dispatch(type(problem)) is not _evidences.dispatch(object)


@singledispatch
def _evidences(problem: SelectionProblem, draws: ModelDraws) -> Tensor | None:
    return None


@_evidences.register
def _(problem: GaussianProblem, draws: ModelDraws) -> Tensor | None:
    known = problem.replace(noise=1.0)  # so that no noise is integrated out
    values = [
        active_sets(known, gates.bool(), variances).log_likelihood
        for gates, variances in zip(draws.gates.split(_CHUNK), draws.variances.split(_CHUNK), strict=True)
    ]
    noise = problem.noise_prior
    density = 0.0 if noise is None else noise.log_density_of_log(draws.variances.log())
    found: Tensor = torch.cat(values) + density
    return found


@_evidences.register
def _(problem: GeneralisedProblem, draws: ModelDraws) -> Tensor | None:
    models, which = torch.unique(draws.gates, dim=0, return_inverse=True)
    modes = find_modes(problem, models, ridge_problem(problem))
    # One that changed neither mode nor column has no slot: the term is of the slots in use.
    return (modes.log_evidence + refine_modes(problem, modes).correction)[which]


@_evidences.register
def _(problem: ZellnerProblem, draws: ModelDraws) -> Tensor | None:
    if problem.slab.needs_all_models:
        return None
    models, which = torch.unique(draws.gates, dim=0, return_inverse=True)
    factors = FactorTable(problem.slab, problem.setting, problem.system.largest_r2)
    rank, r2 = zellner_sets(problem, models.bool(), factors).fit
    return (factors.exact_factors(rank, r2) + problem.log_null)[which]
