r"""All models, for problems with few gates."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.elimination import all_evidences, all_models
from l0bayes.selection.gram import Gram, System
from l0bayes.selection.noise import noise_rule
from l0bayes.selection.problem import LinearProblem
from l0bayes.selection.result import ModelDraws, SelectionPosterior

__all__ = ["enumerate_models"]


@torch.no_grad()
def enumerate_models(
    problem: LinearProblem, *, max_groups: int = 16, num_draws: int = 4000, seed: int = 0
) -> SelectionPosterior:
    r"""The exact posterior of a Gaussian problem: every model, and a quadrature over an unknown noise.

    .. math:: p(D) = \int p(\sigma^2) \sum_\gamma p(\gamma)\,p(D \mid \gamma, \sigma^2)\,d\sigma^2

    Coefficients are integrated out in closed form. Their first two moments come from one backward pass:
    with :math:`f_\gamma = \tfrac12 b'A^{-1}b - \tfrac12\log|A|` of each model,
    :math:`E[\beta] = \partial \sum_\gamma w_\gamma f_\gamma / \partial b` and
    :math:`E[\beta\beta'] = -2\,\partial \sum_\gamma w_\gamma f_\gamma / \partial A`.

    Args:
        problem: The problem.
        max_groups: Largest number of gates; time and memory double with each.
        num_draws: Size of the sample of models.
        seed: Seed of the sample.

    Raises:
        ValueError: If there are more gates than ``max_groups``.
    """
    count = problem.num_groups
    if count > max_groups:
        raise ValueError(
            f"exact enumeration of {count} gates means 2**{count} models; max_groups is {max_groups}. Raise "
            "it (20 gates take seconds and about a gigabyte), or use the engine 'gibbs'"
        )
    members = problem.group_columns
    gram = Gram.of(problem)
    models = all_models(count)
    log_prior = problem.prior.log_prob(models.double())

    def scores(system: System) -> Tensor:
        quadratic, determinant = all_evidences(system.matrix, system.vector, system.log_slab, members)
        return quadratic + determinant

    def log_evidence(variance: Tensor) -> Tensor:
        system = gram.at(variance)
        return system.constant + torch.logsumexp(scores(system) + log_prior, 0)

    variances, log_weights = noise_rule(gram, log_evidence)
    at_node = torch.stack([log_evidence(variance) for variance in variances]) + log_weights
    total = torch.logsumexp(at_node, 0)
    node_mass = (at_node - total).exp()

    weights = torch.zeros(len(models), dtype=torch.float64)
    mean = problem.x.new_zeros(problem.num_columns)
    second = problem.x.new_zeros(problem.num_columns)
    drawn: list[Tensor] = []
    drawn_variances: list[Tensor] = []
    with private_randomness(seed):
        counts = _systematic(node_mass, num_draws)
        for variance, mass, wanted in zip(variances, node_mass, counts.tolist(), strict=True):
            if mass < 1e-14:
                continue
            system = gram.at(variance)
            matrix = system.matrix.requires_grad_()
            vector = system.vector.requires_grad_()
            with torch.enable_grad():
                score = scores(System(matrix, vector, system.log_slab, system.constant))
                probability = torch.softmax(score.detach() + log_prior, 0)
                by_matrix, by_vector = torch.autograd.grad((score * probability).sum(), (matrix, vector))
            weights += mass * probability
            mean += mass * by_vector
            second += mass * -2.0 * by_matrix.diagonal()
            if wanted:
                cumulative = probability.cumsum(0)
                places = torch.rand(wanted, dtype=torch.float64) * cumulative[-1]
                drawn.append(torch.searchsorted(cumulative, places).clamp(max=len(models) - 1))
                drawn_variances.append(variance.expand(wanted))
    gates = models.double()
    chosen = torch.cat(drawn)
    sizes = torch.zeros(count + 1, dtype=torch.float64).index_add_(0, models.sum(1), weights)
    return SelectionPosterior(
        engine="exact",
        problem=problem,
        pip=weights @ gates,
        pip_mcse=torch.zeros(count, dtype=torch.float64),
        mean=mean,
        second_moment=second,
        log_evidence=float(total),
        size_probabilities=sizes,
        draws=ModelDraws(
            gates[chosen],
            torch.cat(drawn_variances),
            torch.full((len(chosen),), 1.0 / len(chosen), dtype=torch.float64),
            torch.zeros(len(chosen), dtype=torch.long),
        ),
        exact_joint=gates.T @ (gates * weights[:, None]),
        diagnostics={"models": len(models), "noise_nodes": len(variances)},
    )


def _systematic(mass: Tensor, count: int) -> Tensor:
    """How often each entry is drawn by systematic sampling; the counts sum to ``count``."""
    places = (torch.arange(count, dtype=mass.dtype) + torch.rand((), dtype=mass.dtype)) / count
    cumulative = mass.cumsum(0)
    index = torch.searchsorted(cumulative / cumulative[-1], places).clamp(max=len(mass) - 1)
    return torch.bincount(index, minlength=len(mass))
