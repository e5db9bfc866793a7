r"""All models of a likelihood with numbers that are learned, for problems with few gates."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.engines.engine import Progress
from l0bayes.selection.engines.enumeration import Enumeration
from l0bayes.selection.kernels.elimination import all_models
from l0bayes.selection.kernels.evidence_check import check_evidences
from l0bayes.selection.kernels.evidence_grid import EvidenceGrid
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.laplace import find_modes
from l0bayes.selection.kernels.laplace_accuracy import LaplaceAccuracy
from l0bayes.selection.kernels.resampling import independent_indices
from l0bayes.selection.kernels.scalar_nodes import ScalarNodes, find_mode, find_nodes
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws

__all__ = ["enumerate_learned"]

# The least probable models, with this share of the posterior together, are given the mean second-order term.
_LEFT_OUT = 1e-4
# Models so many nats below the best, at nodes on all sides, are looked at there only: the rest of their
# integrals is in the proportion that the best have.
_FAR = 11.0
# The most probable models, up to this share and number, say where the numbers have their posterior.
_PILOT_SHARE, _MOST_PILOTS = 0.999, 40
# Nodes at the sides are the outermost ones within so many nats of the highest.
_SIDE = 5.0


def enumerate_learned(problem: LearnedProblem, num_draws: int, progress: Progress) -> Enumeration:
    r"""The posterior over all models, with one or two numbers of the likelihood integrated out in each.

    Every model's evidence given the numbers is by Laplace's method of second order, and the integral over
    their logarithms by the trapezoidal rule on a lattice that covers the posterior of the probable models
    (:func:`~l0bayes.selection.kernels.scalar_nodes.find_nodes`). They are then checked by importance
    sampling, and corrected where the two differ
    (:func:`~l0bayes.selection.kernels.evidence_check.check_evidences`).

    Args:
        problem: The problem.
        num_draws: Size of the sample of models.
        progress: Called with the share of the work that is done.
    """
    models = all_models(problem.num_groups)
    log_prior = problem.prior.log_prob(models.double())
    possible = torch.isfinite(log_prior)
    ends = torch.stack([models[possible][0], models[possible][-1]]).double()
    start = find_mode(problem, ends, problem.start)
    here = problem.at(start)
    modes = find_modes(here, models, ridge_problem(here), shared=True)
    nodes = find_nodes(problem, _pilots(models, modes.log_evidence + log_prior), start)
    progress(0.2)
    grid = EvidenceGrid.over(problem, nodes)
    sides = _sides(nodes)
    outer = grid.some(sides).evaluate(models, modes, shared=True)
    score = outer.log_joint + log_prior[:, None]
    near = (score > score.amax(0) - _FAR).any(1).nonzero()[:, 0]
    progress(0.5)
    found = grid.evaluate(models[near], outer.at_centre.some(near), shared=True)
    progress(0.8)
    # Integrals of the others, by what sides leave out of those that were computed everywhere.
    rough = outer.log_joint.logsumexp(1)
    whole = found.log_evidence
    best = torch.argsort(whole + log_prior[near], descending=True)
    first = best[: max(1, min(len(best), _MOST_PILOTS))]
    left_out = (whole - rough[near])[first].mean()
    evidence = (rough + left_out).index_copy(0, near, whole)

    total = evidence + log_prior
    mass = torch.softmax(total[near][best], 0)
    kept = best[: 1 + int((mass.cumsum(0) < 1.0 - _LEFT_OUT).sum())]
    top = found.packed(kept)
    refined = top.refine()
    progress(0.9)
    checked = check_evidences(refined, log_prior[near[kept]], models[near[kept]].double())
    typical = (checked.correction * torch.softmax(total[near][kept], 0)).sum()
    total = (total + typical).index_copy(0, near[kept], total[near][kept] + checked.correction)
    log_evidence = torch.logsumexp(total, 0)
    weights = (total - log_evidence).exp()
    shares = weights[near[kept]] / weights[near[kept]].sum()
    mean, second = checked.moments
    k = problem.num_unpenalised
    common = float(shares @ refined.correction)
    counted = refined.correction[shares > 1e-3] - common
    return Enumeration(
        probabilities=weights,
        log_evidence=float(log_evidence),
        mean=mean[k:],
        second_moment=second[k:],
        draws=_draws(problem, models, weights, grid, near[kept], checked.shares, num_draws),
        unpenalised_mean=mean[:k],
        laplace=LaplaceAccuracy(
            correction=float(counted.abs().max()),
            not_converged=int((~modes.converged).sum()),
            shared=common,
            importance=checked.report,
        ),
        refined=len(kept),
        scalar_nodes=len(nodes.logs),
    )


def _pilots(models: Tensor, score: Tensor) -> Tensor:
    order = torch.argsort(score, descending=True)
    mass = torch.softmax(score[order], 0)
    count = 1 + int((mass.cumsum(0) < _PILOT_SHARE).sum())
    return models[order[: min(count, _MOST_PILOTS)]].double()


def _sides(nodes: ScalarNodes) -> Tensor:
    """The node in the middle, and the outermost ones of each number."""
    high = (nodes.heights > nodes.heights.max() - _SIDE).nonzero()[:, 0]
    chosen = [nodes.best]
    for column in nodes.logs[high].T:
        chosen += [int(high[column.argmin()]), int(high[column.argmax()])]
    return torch.tensor(list(dict.fromkeys(chosen)))


def _draws(
    problem: LearnedProblem,
    models: Tensor,
    weights: Tensor,
    grid: EvidenceGrid,
    known: Tensor,
    shares: Tensor,
    count: int,
) -> ModelDraws:
    """A sample of models, with numbers from the posterior of each; of improbable ones the mean posterior."""
    chosen = independent_indices(weights, count)
    mean = (shares * weights[known, None]).sum(0)
    place = torch.full((len(models),), -1).index_copy(0, known, torch.arange(len(known)))[chosen]
    law = torch.where(place[:, None] >= 0, shares[place], mean / mean.sum())
    nodes = torch.multinomial(law, 1)[:, 0]
    scalars = grid.between(nodes, mean).exp()
    return ModelDraws(
        models[chosen].double(),
        torch.ones(count, dtype=torch.float64),
        torch.full((count,), 1.0 / count, dtype=torch.float64),
        torch.zeros(count, dtype=torch.long),
        scalars,
    )
