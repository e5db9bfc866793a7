r"""The posterior of a wide problem: probabilities of all columns, and all of the posterior on a few."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.resampling import systematic_indices
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior
from l0bayes.selection.wide.wide_findings import WideFindings
from l0bayes.selection.wide.wide_problem import WideProblem
from l0bayes.selection.wide.wide_records import WideDiagnostics
from l0bayes.selection.wide.working_prior import working_prior

__all__ = ["WidePosterior", "whole_posterior", "wide_diagnostics", "wide_posterior"]

# So many columns are all kept.
_FEW_COLUMNS = 2000


@dataclass(frozen=True)
class WidePosterior:
    r"""What is found in all columns, and a posterior as other engines give it on those of the models.

    Attributes:
        problem: The problem.
        pip: :math:`P(\gamma_j = 1 \mid D)` of all columns, shape ``(p,)``.
        pip_mcse: Their Monte Carlo standard errors, shape ``(p,)``.
        mean: Posterior means of all coefficients, shape ``(p,)``.
        second_moment: Their second moments, shape ``(p,)``.
        kept: Numbers of the anchors and of all columns in the sample of models, in order, shape ``(k,)``; all
            where these are at most 2,000.
        few: The posterior of the kept columns; its sizes of models, and its models, are those of all columns.
    """

    problem: WideProblem
    pip: Tensor
    pip_mcse: Tensor
    mean: Tensor
    second_moment: Tensor
    kept: Tensor
    few: SelectionPosterior


def wide_posterior(problem: WideProblem, found: WideFindings, num_draws: int, seed: int) -> WidePosterior:
    """The posterior that chains have found.

    Args:
        problem: The problem.
        found: What they have found.
        num_draws: Size of the sample of models.
        seed: Seed of the sample.
    """
    pip, error = found.pip
    mean, second = found.moments
    models, noise, chains = _sample(found, num_draws, seed)
    seen = models[models >= 0].long()
    kept = torch.unique(torch.cat([found.working.anchors, seen]))
    if problem.num_columns <= _FEW_COLUMNS:
        kept = torch.arange(problem.num_columns)
    place = torch.full((problem.num_columns,), -1)
    place[kept] = torch.arange(len(kept))
    draws = _draws(found, models, place, len(kept), noise, chains, seed)
    few = SelectionPosterior(
        engine="wide",
        problem=problem.on(kept, working_prior(problem.prior, kept, problem.num_columns)),
        pip=pip[kept],
        pip_mcse=error[kept],
        mean=mean[kept],
        second_moment=second[kept],
        log_evidence=math.nan,
        size_probabilities=_sizes(found, len(kept)),
        draws=draws,
        diagnostics=wide_diagnostics(found, error),
    )
    return WidePosterior(problem, pip, error, mean, second, kept, few)


def whole_posterior(
    problem: GaussianProblem, found: WideFindings, num_draws: int, seed: int
) -> SelectionPosterior:
    """The posterior of a problem that is in memory, as other engines give it.

    Args:
        problem: The problem; the chains know its columns in the order of their gates.
        found: What they have found.
        num_draws: Size of the sample of models.
        seed: Seed of the sample.
    """
    pip, error = found.pip
    mean, second = found.moments
    models, noise, chains = _sample(found, num_draws, seed)
    count = problem.num_groups
    return SelectionPosterior(
        engine="wide",
        problem=problem,
        pip=pip,
        pip_mcse=error,
        mean=mean[problem.groups],
        second_moment=second[problem.groups],
        log_evidence=math.nan,
        size_probabilities=_sizes(found, count),
        draws=_draws(found, models, torch.arange(count), count, noise, chains, seed),
        diagnostics=wide_diagnostics(found, error),
    )


def wide_diagnostics(found: WideFindings, error: Tensor) -> WideDiagnostics:
    """Signs of the chains' own error.

    Args:
        found: What they have found.
        error: Standard errors of all inclusion probabilities.
    """
    weights = torch.cat(found.bursts.models.weights)
    (outside, its_error), (counted, counts_error) = found.outside, found.counted_outside
    return WideDiagnostics(
        flips=found.flips,
        chains=len(found.bursts.weight),
        passes=found.passes.passes,
        largest_mcse=float(error.max()),
        ess=float(weights.sum().square() / weights.square().sum()),
        anchors=len(found.working.anchors),
        outside=outside,
        outside_error=its_error,
        counted_outside=counted,
        counted_error=counts_error,
        largest_outside=found.largest_outside,
        cut_short=found.cut_short,
    )


def _sample(found: WideFindings, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Models drawn by weight: open columns and -1, what is known of the noise, and the chain, of each."""
    models = found.bursts.models
    weights = torch.stack(models.weights)
    width = weights.shape[1]
    with private_randomness(seed):
        chosen = systematic_indices(weights.flatten(), count)[torch.randperm(count)]
    widest = max(part.shape[1] for part in models.columns)
    columns = torch.full((count, widest), -1, dtype=torch.int32)
    for row, index in enumerate(chosen.tolist()):
        part = models.columns[index // width][index % width]
        columns[row, : len(part)] = part
    return columns, torch.stack(models.noise).flatten()[chosen], chosen % width


def _draws(
    found: WideFindings,
    models: Tensor,
    place: Tensor,
    count: int,
    noise: Tensor,
    chains: Tensor,
    seed: int,
) -> ModelDraws:
    gates = torch.zeros(len(models), count, dtype=torch.float64)
    row, slot = (models >= 0).nonzero(as_tuple=True)
    gates[row, place[models[row, slot].long()]] = 1.0
    with private_randomness(seed):
        variances = found.chains.sets.noise_drawn(noise, gates)
    equal = torch.full((len(models),), 1.0 / len(models), dtype=torch.float64)
    return ModelDraws(gates, variances, equal, chains)


def _sizes(found: WideFindings, count: int) -> Tensor:
    """Law of the number of open gates, of which larger models than the count are none."""
    models = found.bursts.models
    weights = torch.cat(models.weights)
    sizes = torch.cat([(part >= 0).sum(1) for part in models.columns]).clamp(max=count)
    law = torch.zeros(count + 1, dtype=torch.float64)
    return law.index_add_(0, sizes, weights / weights.sum())
