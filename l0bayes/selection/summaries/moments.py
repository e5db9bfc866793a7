r"""Covariance of all coefficients together, from a sample of models."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.summaries.zellner_coefficients import zellner_moments

__all__ = ["joint_moments"]

_CHUNK_ELEMENTS = 20_000_000


@torch.no_grad()
def joint_moments(posterior: SelectionPosterior) -> tuple[Tensor, Tensor]:
    r"""Mean and covariance of :math:`(\alpha, \beta)` under a Gaussian posterior.

    .. math:: E[\beta] = \sum_s w_s\,m_s, \qquad
        \operatorname{Cov}[\beta] = \sum_s w_s\,(V_s + m_s m_s') - E[\beta]\,E[\beta]'

    with the exact mean and covariance of the coefficients under each model and noise variance of the
    sample, so that only models and noise are sampled.

    Args:
        posterior: The posterior of a :class:`~l0bayes.selection.problem.gaussian_problem.GaussianProblem`.

    Returns:
        Mean, shape ``(k + p,)``, columns without a gate first, and covariance, shape ``(k + p, k + p)``.

    Raises:
        TypeError: If the problem is of another kind, in which moments given a model have no closed form.
    """
    return _joint_moments(posterior.problem, posterior.draws)


@singledispatch
def _joint_moments(problem: SelectionProblem, draws: ModelDraws) -> tuple[Tensor, Tensor]:
    raise TypeError(f"coefficients of a {type(problem).__name__} have no moments in closed form")


@_joint_moments.register
def _(problem: LearnedSlabProblem, draws: ModelDraws) -> tuple[Tensor, Tensor]:
    return _joint_moments(problem.given, draws)


@_joint_moments.register
def _(problem: GaussianProblem, draws: ModelDraws) -> tuple[Tensor, Tensor]:
    groups = problem.num_groups
    beside = (
        [draws.variances[:, None]] if draws.scalars is None else [draws.variances[:, None], draws.scalars]
    )
    rows, which = torch.unique(torch.cat([draws.gates, *beside], 1), dim=0, return_inverse=True)
    weights = torch.zeros(len(rows), dtype=torch.float64).index_add_(0, which, draws.weights)
    weights = weights / weights.sum()
    k, p = problem.num_unpenalised, problem.num_columns
    mean = problem.y.new_zeros(k + p)
    second = problem.y.new_zeros((k + p) * (k + p))
    size = max(1, _CHUNK_ELEMENTS // (p * 24))
    for some, share in zip(rows.split(size), weights.split(size), strict=True):
        scale = None if draws.scalars is None else some[:, groups + 1].log()
        sets = active_sets(problem, some[:, :groups].bool(), some[:, groups], scale)
        # Columns of zeros that fill up groups are no columns of the problem.
        place = sets.order[sets.place]
        held = sets.held & (place < k + p)
        place = torch.where(held, place, 0)
        values = torch.where(held, sets.residual.gather(1, sets.place), 0.0)
        mean.index_add_(0, place.flatten(), (values * share[:, None]).flatten())
        both = held[:, :, None] & held[:, None, :]
        # If the noise is integrated out, variances are in units of it.
        unit = 1.0 if sets.conjugate is None else some[:, groups, None, None]
        block = torch.where(both, sets.inverse * unit, 0.0) + values[:, :, None] * values[:, None, :]
        index = place[:, :, None] * (k + p) + place[:, None, :]
        second.index_add_(0, index.flatten(), (block * share[:, None, None]).flatten())
    covariance = second.reshape(k + p, k + p) - mean[:, None] * mean
    return mean, 0.5 * (covariance + covariance.T)


@_joint_moments.register
def _(problem: ZellnerProblem, draws: ModelDraws) -> tuple[Tensor, Tensor]:
    return zellner_moments(problem, draws)
