r"""All models of a generalised linear model, for problems with few gates."""

from __future__ import annotations

import torch

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.elimination import all_models
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.laplace import find_modes, refine_modes
from l0bayes.selection.kernels.model_averages import average_coefficients
from l0bayes.selection.kernels.resampling import independent_indices
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior

__all__ = ["enumerate_glm"]

# Models that hold this much of the posterior together are left without the second-order term of their own.
_LEFT_OUT = 1e-4


@torch.no_grad()
def enumerate_glm(
    problem: GeneralisedProblem, *, max_groups: int = 14, num_draws: int = 4000, seed: int = 0
) -> SelectionPosterior:
    r"""The posterior over all models of a generalised linear model, by Laplace's method of second order.

    Every model's evidence is approximated at its own mode; those that carry the posterior are given the
    O(1/n) term, after which log evidences err by O(1/n²), and means that are right to the same order.

    Args:
        problem: The problem.
        max_groups: Largest number of gates; time doubles with each.
        num_draws: Size of the sample of models.
        seed: Seed of the sample.

    Returns:
        The posterior, of the engine ``"exact"``. Its ``diagnostics`` say ``"evidence": "laplace"``, how
        many models were refined, the largest second-order term among models of some weight (``correction``;
        the error is of the order of its square), and how many modes were not found.

    Raises:
        ValueError: If there are more gates than ``max_groups``.
    """
    count = problem.num_groups
    if count > max_groups:
        raise ValueError(
            f"enumeration of {count} gates means 2**{count} models; max_groups is {max_groups}. Raise it (to "
            "16 at most, within a minute), or use the engine 'gibbs'"
        )
    models = all_models(count)
    gates = models.double()
    log_prior = problem.prior.log_prob(gates)
    modes = find_modes(problem, models, ridge_problem(problem), shared=True)
    score = modes.log_evidence + log_prior
    order = torch.argsort(score, descending=True)
    mass = torch.softmax(score[order], 0)
    kept = order[: 1 + int((mass.cumsum(0) < 1.0 - _LEFT_OUT).sum())]
    top = modes[kept].packed()
    refined = refine_modes(problem, top)
    # The others are given what those have on average.
    typical = (refined.correction * torch.softmax(score[kept], 0)).sum()
    score = (score + typical).index_copy(0, kept, score[kept] + refined.correction)
    total = torch.logsumexp(score, 0)
    weights = (score - total).exp()
    shares = weights[kept] / weights[kept].sum()
    with private_randomness(seed):
        chosen = independent_indices(weights, num_draws)
    k = problem.num_unpenalised
    mean = average_coefficients(problem, top, refined.mean, shares)
    second = average_coefficients(problem, top, refined.mean.square() + refined.variance, shares)
    return SelectionPosterior(
        engine="exact",
        problem=problem,
        pip=weights @ gates,
        pip_mcse=torch.zeros(count, dtype=torch.float64),
        mean=mean[k:],
        second_moment=second[k:],
        log_evidence=float(total),
        size_probabilities=torch.zeros(count + 1, dtype=torch.float64).index_add_(0, models.sum(1), weights),
        draws=ModelDraws(
            gates[chosen],
            torch.ones(num_draws, dtype=torch.float64),
            torch.full((num_draws,), 1.0 / num_draws, dtype=torch.float64),
            torch.zeros(num_draws, dtype=torch.long),
        ),
        exact_joint=gates.T @ (gates * weights[:, None]),
        unpenalised_mean=mean[:k],
        diagnostics={
            "evidence": "laplace",
            "models": len(models),
            "refined": len(kept),
            "correction": float(refined.correction[shares > 1e-3].abs().max()),
            "not_converged": int((~modes.converged).sum()),
        },
    )
