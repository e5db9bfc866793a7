r"""All models of a Gaussian problem, for problems with few gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from l0bayes.selection.engines.engine import Progress
from l0bayes.selection.engines.enumeration import Enumeration
from l0bayes.selection.kernels.elimination import all_evidences, all_models
from l0bayes.selection.kernels.gated_system import GatedSystem, gated_system
from l0bayes.selection.kernels.noise_grid import noise_rule
from l0bayes.selection.kernels.resampling import independent_indices, systematic_indices
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws

__all__ = ["enumerate_gaussian", "log_odds_of"]

# Nodes of the quadrature over the noise with a smaller share of the posterior are left out.
_NEGLIGIBLE = 1e-12
# A side of a gate with less has hardly any of the nodes; and how many models are looked at for such sides.
_RARE_SIDE, _MOST_FOR_ODDS = 1e-9, 2**17


def enumerate_gaussian(problem: GaussianProblem, num_draws: int, progress: Progress) -> Enumeration:
    r"""The exact posterior of a Gaussian problem: every model, and a quadrature over an unknown noise.

    .. math:: p(D) = \int p(\sigma^2) \sum_\gamma p(\gamma)\,p(D \mid \gamma, \sigma^2)\,d\sigma^2

    Coefficients are integrated out in closed form. Their first two moments come from one backward pass:
    with :math:`f_\gamma = \tfrac12 b'A^{-1}b - \tfrac12\log|A|` of each model,
    :math:`E[\beta] = \partial \sum_\gamma w_\gamma f_\gamma / \partial b` and
    :math:`E[\beta\beta'] = -2\,\partial \sum_\gamma w_\gamma f_\gamma / \partial A`.

    Args:
        problem: The problem.
        num_draws: Size of the sample of models.
        progress: Called with the share of the work that is done.
    """
    models = all_models(problem.num_groups)
    log_prior = problem.prior.log_prob(models.double())
    if problem.conjugate_noise is None:
        found = _by_quadrature(problem, models, log_prior, num_draws, progress)
    else:
        found = _conjugate(problem, models, log_prior, num_draws)
    drawn = len(found.models)
    return Enumeration(
        models=models,
        probabilities=found.probabilities,
        log_evidence=float(found.log_evidence),
        mean=found.mean,
        second_moment=found.second_moment,
        draws=ModelDraws(
            models[found.models].double(),
            found.variances,
            torch.full((drawn,), 1.0 / drawn, dtype=torch.float64),
            torch.zeros(drawn, dtype=torch.long),
        ),
        noise_nodes=found.nodes,
        log_odds=found.log_odds,
    )


@dataclass(frozen=True)
class _Posterior:
    """Probabilities of all models, moments, and draws of a model and a noise variance each."""

    log_evidence: Tensor
    probabilities: Tensor
    mean: Tensor
    second_moment: Tensor
    models: Tensor
    variances: Tensor
    nodes: int
    log_odds: Tensor


def _by_quadrature(
    problem: GaussianProblem, models: Tensor, log_prior: Tensor, num_draws: int, progress: Progress
) -> _Posterior:
    members = problem.group_columns

    def scores(system: GatedSystem) -> Tensor:
        quadratic, determinant = all_evidences(system.matrix, system.vector, system.log_slab, members)
        return quadratic + determinant

    def log_evidence(variance: Tensor) -> Tensor:
        system = gated_system(problem, variance)
        return system.constant + torch.logsumexp(scores(system) + log_prior, 0)

    rule = noise_rule(problem, log_evidence)
    progress(0.5)
    at_node = rule.log_evidences + rule.log_weights
    total = torch.logsumexp(at_node, 0)
    node_mass = (at_node - total).exp()

    weights = torch.zeros(len(models), dtype=torch.float64)
    mean = problem.x.new_zeros(problem.num_columns)
    second = problem.x.new_zeros(problem.num_columns)
    drawn: list[Tensor] = []
    drawn_variances: list[Tensor] = []
    counts = torch.bincount(systematic_indices(node_mass, num_draws), minlength=len(node_mass))
    for node, (variance, mass, wanted) in enumerate(
        zip(rule.variances, node_mass, counts.tolist(), strict=True)
    ):
        progress(0.5 + 0.5 * node / len(node_mass))
        if mass < _NEGLIGIBLE:
            continue
        system = gated_system(problem, variance)
        matrix = system.matrix.requires_grad_()
        vector = system.vector.requires_grad_()
        with torch.enable_grad():
            score = scores(replace(system, matrix=matrix, vector=vector))
            probability = torch.softmax(score.detach() + log_prior, 0)
            by_matrix, by_vector = torch.autograd.grad((score * probability).sum(), (matrix, vector))
        weights += mass * probability
        mean += mass * by_vector
        second += mass * -2.0 * by_matrix.diagonal()
        if wanted:
            drawn.append(independent_indices(probability, wanted))
            drawn_variances.append(variance.expand(wanted))

    def log_mass(side: Tensor) -> float:
        def at(variance: Tensor) -> Tensor:
            system = gated_system(problem, variance)
            return system.constant + torch.logsumexp((scores(system) + log_prior)[side], 0)

        of_side = noise_rule(problem, at)
        return float(torch.logsumexp(of_side.log_evidences + of_side.log_weights, 0))

    odds = log_odds_of(models, log_prior, weights, log_mass, float(total))
    return _Posterior(
        total, weights, mean, second, torch.cat(drawn), torch.cat(drawn_variances), len(node_mass), odds
    )


def log_odds_of(
    models: Tensor,
    log_prior: Tensor,
    weights: Tensor,
    log_mass: Callable[[Tensor], float],
    log_total: float,
) -> Tensor:
    """Posterior log odds of every gate, shape ``(G,)``; infinite where the rarer side would take too long.

    Where one side of a gate is rare, its mass may lie at noises that have none of the posterior's: it has a
    quadrature of its own.

    Args:
        models: All models, shape ``(2**G, G)``.
        log_prior: Log of their prior probabilities.
        weights: Their probabilities.
        log_mass: From a choice of models to the log evidence of them together.
        log_total: Log evidence of all.
    """
    count = models.shape[1]
    # Bit g of a model's number is gate g. Each side is added up by itself, so that neither loses its digits.
    sides = torch.stack([weights.reshape(-1, 2, 2**gate).sum((0, 2)) for gate in range(count)])
    shut, opened = sides[:, 0], sides[:, 1]
    odds = opened.log() - shut.log()
    rare = (torch.minimum(opened, shut) < _RARE_SIDE).nonzero()[:, 0].tolist()
    for number, gate in enumerate(rare, start=1):
        mostly_open = bool(opened[gate] > shut[gate])
        sign = 1.0 if mostly_open else -1.0
        side = models[:, gate].bool() != mostly_open
        possible = bool(torch.isfinite(log_prior[side]).any())
        if not possible or number * len(models) > _MOST_FOR_ODDS:
            odds[gate] = sign * torch.inf
        else:
            odds[gate] = sign * (log_total - log_mass(side))
    return odds


def _conjugate(problem: GaussianProblem, models: Tensor, log_prior: Tensor, num_draws: int) -> _Posterior:
    r"""The noise integrated out model by model.

    With the system at :math:`\sigma^2 = 1` and :math:`Q_\gamma = b + \tfrac12 y'y - \tfrac12 b'A^{-1}b`,

    .. math:: p(D \mid \gamma) \propto \frac{b^a\,\Gamma(\alpha)}{\Gamma(a)}\,|\cdot|\,Q_\gamma^{-\alpha},
        \qquad \sigma^2 \mid \gamma \sim \mathrm{InverseGamma}(\alpha, Q_\gamma),
        \qquad E[\beta\beta' \mid \gamma] = mm' + \frac{Q_\gamma}{\alpha - 1} A^{-1}.
    """
    noise = problem.conjugate_noise
    assert noise is not None
    system = gated_system(problem, torch.ones((), dtype=torch.float64))
    matrix, vector = system.matrix.requires_grad_(), system.vector.requires_grad_()
    alpha = vector.new_tensor(problem.conjugate_shape)
    with torch.enable_grad():
        quadratic, determinant = all_evidences(matrix, vector, system.log_slab, problem.group_columns)
        rates = (noise.rate + 0.5 * system.square - quadratic).detach()
        log_weight = determinant.detach() - alpha * rates.log() + log_prior
        probability = torch.softmax(log_weight, 0)
        variance = rates / (alpha - 1.0)  # its posterior mean, where it has one
        (mean,) = torch.autograd.grad((quadratic * probability).sum(), vector, retain_graph=True)
        scored = (probability * quadratic + probability * variance * determinant).sum()
        (by_matrix,) = torch.autograd.grad(scored, matrix)
    normaliser = system.scale + noise.log_constant + alpha.lgamma()
    chosen = independent_indices(probability, num_draws)
    variances = rates[chosen] / torch._standard_gamma(alpha.expand(num_draws))
    return _Posterior(
        normaliser + torch.logsumexp(log_weight, 0),
        probability,
        mean,
        -2.0 * by_matrix.diagonal(),
        chosen,
        variances,
        0,
        log_odds_of(
            models,
            log_prior,
            probability,
            lambda side: float(torch.logsumexp(log_weight[side], 0)),
            float(torch.logsumexp(log_weight, 0)),
        ),
    )
