r"""All models of a generalised linear model, for problems with few gates."""

from __future__ import annotations

import torch

from l0bayes.selection.engines.engine import Progress
from l0bayes.selection.engines.enumeration import Enumeration
from l0bayes.selection.kernels.elimination import all_models
from l0bayes.selection.kernels.evidence_check import check_evidences
from l0bayes.selection.kernels.evidence_grid import Evidences
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.laplace import find_modes
from l0bayes.selection.kernels.laplace_accuracy import LaplaceAccuracy
from l0bayes.selection.kernels.resampling import independent_indices
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws

__all__ = ["enumerate_generalised"]

# The least probable models, with this share of the posterior together, are given the mean second-order term.
_LEFT_OUT = 1e-4


def enumerate_generalised(problem: GeneralisedProblem, num_draws: int, progress: Progress) -> Enumeration:
    r"""The posterior over all models of a generalised linear model, by Laplace's method of second order.

    Every model's evidence is approximated at its own mode. The most probable models, with nearly all of the
    posterior, are given the O(1/n) term, after which log evidences err by O(1/n²), and means that are right
    to the same order. They are then checked by importance sampling, and corrected where the two differ
    (:func:`~l0bayes.selection.kernels.evidence_check.check_evidences`).

    Args:
        problem: The problem.
        num_draws: Size of the sample of models.
        progress: Called with the share of the work that is done.
    """
    models = all_models(problem.num_groups)
    log_prior = problem.prior.log_prob(models.double())
    modes = find_modes(problem, models, ridge_problem(problem), shared=True)
    progress(0.7)
    score = modes.log_evidence + log_prior
    order = torch.argsort(score, descending=True)
    mass = torch.softmax(score[order], 0)
    kept = order[: 1 + int((mass.cumsum(0) < 1.0 - _LEFT_OUT).sum())]
    top = modes[kept].packed()
    refined = Evidences.of_one(problem, top).refine()
    progress(0.8)
    checked = check_evidences(refined, log_prior[kept], models[kept].double())
    # The others are given the mean term.
    typical = (checked.correction * torch.softmax(score[kept], 0)).sum()
    score = (score + typical).index_copy(0, kept, score[kept] + checked.correction)
    total = torch.logsumexp(score, 0)
    weights = (score - total).exp()
    shares = weights[kept] / weights[kept].sum()
    chosen = independent_indices(weights, num_draws)
    k = problem.num_unpenalised
    mean, second = checked.moments
    return Enumeration(
        probabilities=weights,
        log_evidence=float(total),
        mean=mean[k:],
        second_moment=second[k:],
        draws=ModelDraws(
            models[chosen].double(),
            torch.ones(num_draws, dtype=torch.float64),
            torch.full((num_draws,), 1.0 / num_draws, dtype=torch.float64),
            torch.zeros(num_draws, dtype=torch.long),
        ),
        unpenalised_mean=mean[:k],
        laplace=LaplaceAccuracy(
            correction=float(refined.correction[shares > 1e-3].abs().max()),
            not_converged=int((~modes.converged).sum()),
            importance=checked.report,
        ),
        refined=len(kept),
    )
