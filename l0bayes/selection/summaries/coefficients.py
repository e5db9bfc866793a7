r"""Draws and conditional summaries of the coefficients, from a sample of models."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.kernels.gram import Gram
from l0bayes.selection.problem.linear_problem import LinearProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior

__all__ = ["Coefficients", "coefficients_of", "narrowest_interval"]

_CHUNK_ELEMENTS = 20_000_000


@dataclass(frozen=True)
class Coefficients:
    r"""What is known of coefficients beyond their first two moments.

    Attributes:
        beta: Draws of the gated coefficients, zeros where a gate is shut, shape ``(S, p)``.
        always: Draws of the coefficients without a gate, shape ``(S, k)``.
        noise_scale: Draws of σ, shape ``(S,)``.
        conditional_mean: :math:`E[\beta_j \mid \gamma_j = 1]`, shape ``(p,)``.
        conditional_sd: Its standard deviation.
        conditional_draws: Draws of :math:`\beta_j` given that its gate is open, shape ``(S, p)``.
        positive: :math:`P(\beta_j > 0 \mid \gamma_j = 1)`, shape ``(p,)``.
    """

    beta: Tensor
    always: Tensor
    noise_scale: Tensor
    conditional_mean: Tensor
    conditional_sd: Tensor
    conditional_draws: Tensor
    positive: Tensor


@torch.no_grad()
def coefficients_of(posterior: SelectionPosterior, *, seed: int = 0) -> Coefficients:
    r"""Draw the coefficients of a Gaussian posterior, given its sample of models.

    Given a model and the noise, coefficients are Normal. What is asked of one under the condition that its
    gate is open is averaged over all models of the sample, also those in which it is shut, each with the
    gate's exact conditional probability of being open: a gate that is rarely open is then still described.

    Args:
        posterior: The posterior of a :class:`~l0bayes.selection.problem.linear_problem.LinearProblem`.
        seed: Seed of the draws.
    """
    problem, draws = posterior.problem, posterior.draws
    gram = Gram.of(problem)
    models, which = _distinct(draws)
    size = max(1, _CHUNK_ELEMENTS // (problem.num_columns * 24))
    parts = [
        _conditionals(gram, problem, gates, variances)
        for gates, variances in zip(models.gates.split(size), models.variances.split(size), strict=True)
    ]
    with private_randomness(seed):
        return _assemble(problem, draws, which, parts, size)


@dataclass(frozen=True)
class _Part:
    """Conditionals of a chunk of models: ``open_``, ``mean`` and ``variance`` of each column if open."""

    sets: ActiveSets
    open_: Tensor
    mean: Tensor
    variance: Tensor


def _distinct(draws: ModelDraws) -> tuple[ModelDraws, Tensor]:
    """Each model and noise variance once, and where every draw is found among them."""
    rows = torch.cat([draws.gates, draws.variances[:, None]], 1)
    unique, which = torch.unique(rows, dim=0, return_inverse=True)
    weights = torch.zeros(len(unique), dtype=torch.float64).index_add_(0, which, draws.weights)
    nothing = torch.zeros(len(unique), dtype=torch.long)
    return ModelDraws(unique[:, :-1], unique[:, -1], weights, nothing), which


def _conditionals(gram: Gram, problem: LinearProblem, gates: Tensor, variances: Tensor) -> _Part:
    sets = active_sets(gram, gates.bool(), variances)
    odds = sets.log_odds() + problem.prior.conditional_log_odds(gates)
    columns = sets.columns - sets.fixed
    mean, variance = sets.conditional_moments()
    return _Part(sets, torch.sigmoid(odds)[:, problem.groups], mean[:, columns], variance[:, columns])


def _assemble(
    problem: LinearProblem, draws: ModelDraws, which: Tensor, parts: list[_Part], size: int
) -> Coefficients:
    count, p, k = len(which), problem.num_columns, problem.always.shape[1]
    beta = torch.zeros(count, p, dtype=torch.float64)
    always = torch.zeros(count, k, dtype=torch.float64)
    for index, part in enumerate(parts):
        rows = ((which >= index * size) & (which < (index + 1) * size)).nonzero()[:, 0]
        if len(rows):
            drawn = _joint_draws(part.sets, which[rows] - index * size, draws.variances[rows])
            always[rows] = drawn[:, :k]
            beta[rows] = drawn[:, part.sets.columns]
    open_ = torch.cat([part.open_ for part in parts])[which] * draws.weights[:, None]
    mean = torch.cat([part.mean for part in parts])[which]
    variance = torch.cat([part.variance for part in parts])[which]
    share = open_ / open_.sum(0).clamp(min=1e-300)
    conditional_mean = (share * mean).sum(0)
    spread = (share * (variance + (mean - conditional_mean).square())).sum(0)
    positive = (share * torch.special.ndtr(mean / variance.sqrt())).sum(0)
    cumulative = share.cumsum(0)
    places = (torch.arange(count, dtype=torch.float64) + torch.rand((), dtype=torch.float64)) / count
    chosen = torch.searchsorted(
        (cumulative / cumulative[-1]).T.contiguous(), places.expand(p, count).contiguous()
    )
    chosen = chosen.T.clamp(max=count - 1)
    noise = torch.randn(count, p, dtype=torch.float64)
    conditional = mean.gather(0, chosen) + variance.gather(0, chosen).sqrt() * noise
    return Coefficients(
        beta,
        always,
        draws.variances.sqrt(),
        conditional_mean,
        spread.sqrt(),
        conditional,
        positive,
    )


def _joint_draws(sets: ActiveSets, rows: Tensor, variances: Tensor) -> Tensor:
    """Draws of all active columns together, zeros elsewhere, shape ``(len(rows), N)``."""
    unheld = torch.diag_embed((~sets.held).to(torch.float64))
    factor = torch.linalg.cholesky(sets.inverse + unheld)
    noise = torch.randn(len(rows), sets.held.shape[1], 1, dtype=torch.float64)
    deviation = (factor[rows] @ noise)[..., 0]
    if sets.conjugate is not None:  # all is in units of the noise
        deviation = deviation * variances.sqrt()[:, None]
    mean = torch.where(sets.active, sets.residual, 0.0)[rows]
    row, slot = sets.held[rows].nonzero(as_tuple=True)
    mean[row, sets.place[rows][row, slot]] += deviation[row, slot]
    return mean


def narrowest_interval(draws: Tensor, probability: float) -> Tensor:
    """The narrowest interval that holds a share of the draws, shape ``(p, 2)``.

    Args:
        draws: Shape ``(S, p)``.
        probability: The share, strictly between 0 and 1.

    Raises:
        ValueError: If ``probability`` is not strictly between 0 and 1.
    """
    if not 0.0 < probability < 1.0:
        raise ValueError(f"probability must lie strictly between 0 and 1, got {probability!r}")
    ordered = draws.sort(0).values
    inside = max(1, round(probability * len(draws)))
    widths = ordered[inside - 1 :] - ordered[: len(ordered) - inside + 1]
    first = widths.argmin(0)
    columns = torch.arange(draws.shape[1])
    return torch.stack([ordered[first, columns], ordered[first + inside - 1, columns]], 1)
