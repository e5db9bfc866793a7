r"""All models of a Gaussian problem, for problems with few gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.engines.engine import Progress
from l0bayes.selection.engines.enumeration import Enumeration
from l0bayes.selection.kernels.elimination import ModelTree, all_evidences
from l0bayes.selection.kernels.gated_system import GatedSystem, gated_system
from l0bayes.selection.kernels.model_table import gate_sums, gates_of, log_priors
from l0bayes.selection.kernels.noise_average import NoiseAverage
from l0bayes.selection.kernels.noise_grid import noise_rule
from l0bayes.selection.kernels.one_thread import one_thread
from l0bayes.selection.kernels.resampling import independent_indices
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws

__all__ = ["enumerate_gaussian", "log_odds_of"]

# A side of a gate with less has hardly any of the nodes; and how many models are looked at for such sides.
_RARE_SIDE, _MOST_FOR_ODDS = 1e-9, 2**17
# Nodes of a quadrature over the noise, about: for the progress that is shown.
_USUAL_NODES = 24


@one_thread()
def enumerate_gaussian(problem: GaussianProblem, num_draws: int, progress: Progress) -> Enumeration:
    r"""The exact posterior of a Gaussian problem: every model, and a quadrature over an unknown noise.

    .. math:: p(D) = \int p(\sigma^2) \sum_\gamma p(\gamma)\,p(D \mid \gamma, \sigma^2)\,d\sigma^2

    Coefficients are integrated out in closed form, and their first two moments come from the way back
    through the tree of eliminations.

    Args:
        problem: The problem.
        num_draws: Size of the sample of models.
        progress: Called with the share of the work that is done.
    """
    log_prior = log_priors(problem.prior, problem.num_groups)
    if problem.conjugate_noise is None:
        found = _by_quadrature(problem, log_prior, num_draws, progress)
    else:
        found = _conjugate(problem, log_prior, num_draws)
    drawn = len(found.models)
    return Enumeration(
        probabilities=found.probabilities,
        log_evidence=found.log_evidence,
        mean=found.mean,
        second_moment=found.second_moment,
        draws=ModelDraws(
            gates_of(found.models, problem.num_groups).double(),
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

    log_evidence: float
    probabilities: Tensor
    mean: Tensor
    second_moment: Tensor
    models: Tensor
    variances: Tensor
    nodes: int
    log_odds: Tensor


def _by_quadrature(
    problem: GaussianProblem, log_prior: Tensor, num_draws: int, progress: Progress
) -> _Posterior:
    average = NoiseAverage(problem, log_prior, num_draws)

    def log_evidence(variance: Tensor) -> Tensor:
        found = average.add(variance)
        # Without an end that is known it comes nearer to it each time.
        progress(1.0 - 0.5 ** (4.0 * average.count / _USUAL_NODES))
        return found

    rule = noise_rule(problem, log_evidence)
    at_node = rule.log_evidences + rule.log_weights
    total = torch.logsumexp(at_node, 0)
    models, variances = average.draws(rule.variances, (at_node - total).exp())
    mean, second = average.moments()
    probabilities = average.probabilities()

    def log_mass(side: Tensor) -> float:
        def at(variance: Tensor) -> Tensor:
            system = gated_system(problem, variance)
            quadratic, determinant = all_evidences(*_terms(system), problem.group_columns)
            return system.constant + torch.logsumexp((quadratic + determinant + log_prior)[side], 0)

        of_side = noise_rule(problem, at)
        return float(torch.logsumexp(of_side.log_evidences + of_side.log_weights, 0))

    odds = log_odds_of(log_prior, probabilities, log_mass, float(total))
    return _Posterior(float(total), probabilities, mean, second, models, variances, len(rule.variances), odds)


def log_odds_of(
    log_prior: Tensor, weights: Tensor, log_mass: Callable[[Tensor], float], log_total: float
) -> Tensor:
    """Posterior log odds of every gate, shape ``(G,)``; infinite where the rarer side would take too long.

    Where one side of a gate is rare, its mass may lie at noises that have none of the posterior's: it has a
    quadrature of its own.

    Args:
        log_prior: Log prior probabilities of all models.
        weights: Their probabilities.
        log_mass: From a choice of models to the log evidence of them together.
        log_total: Log evidence of all.
    """
    sums = gate_sums(weights)
    shut, opened = sums.shut, sums.opened
    odds = opened.log() - shut.log()
    rare = (torch.minimum(opened, shut) < _RARE_SIDE).nonzero()[:, 0].tolist()
    for number, gate in enumerate(rare, start=1):
        mostly_open = bool(opened[gate] > shut[gate])
        sign = 1.0 if mostly_open else -1.0
        if number * len(weights) > _MOST_FOR_ODDS:
            odds[gate] = sign * torch.inf
            continue
        open_there = (torch.arange(len(weights)) >> gate) & 1
        side = open_there.bool() != mostly_open
        possible = bool(torch.isfinite(log_prior[side]).any())
        odds[gate] = sign * (log_total - log_mass(side) if possible else torch.inf)
    return odds


def _conjugate(problem: GaussianProblem, log_prior: Tensor, num_draws: int) -> _Posterior:
    r"""The noise integrated out model by model.

    With the system at :math:`\sigma^2 = 1` and :math:`Q_\gamma = b + \tfrac12 y'y - \tfrac12 b'A^{-1}b`,

    .. math:: p(D \mid \gamma) \propto \frac{b^a\,\Gamma(\alpha)}{\Gamma(a)}\,|\cdot|\,Q_\gamma^{-\alpha},
        \qquad \sigma^2 \mid \gamma \sim \mathrm{InverseGamma}(\alpha, Q_\gamma),
        \qquad E[\beta\beta' \mid \gamma] = mm' + \frac{Q_\gamma}{\alpha - 1} A^{-1}.
    """
    noise = problem.conjugate_noise
    assert noise is not None
    system = gated_system(problem, torch.ones((), dtype=torch.float64))
    alpha = log_prior.new_tensor(problem.conjugate_shape)
    quadratic, determinant = all_evidences(*_terms(system), problem.group_columns)
    rates = noise.rate + 0.5 * system.square - quadratic
    log_weight = determinant - alpha * rates.log() + log_prior
    total = torch.logsumexp(log_weight, 0)
    probability = (log_weight - total).exp()
    shape = ModelTree.shape(problem.num_groups)
    table = probability.view(shape)
    spread = (probability * rates / (alpha - 1.0)).view(shape)  # the noise's mean, where it has one
    tree = ModelTree(system.matrix, system.vector, problem.group_columns)
    for chunk in tree.chunks():
        chunk.weigh(table[:, chunk.place], inverse=spread[:, chunk.place])
    mean, second, _ = tree.moments()
    chosen = independent_indices(probability, num_draws)
    variances = rates[chosen] / torch._standard_gamma(alpha.expand(num_draws))
    normaliser = system.scale + noise.log_constant + alpha.lgamma()
    return _Posterior(
        float(normaliser + total),
        probability,
        mean,
        second,
        chosen,
        variances,
        0,
        log_odds_of(
            log_prior,
            probability,
            lambda side: float(torch.logsumexp(log_weight[side], 0)),
            float(total),
        ),
    )


def _terms(system: GatedSystem) -> tuple[Tensor, Tensor, Tensor]:
    return system.matrix, system.vector, system.log_slab
