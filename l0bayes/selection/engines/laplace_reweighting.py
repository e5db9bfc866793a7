r"""Generalised linear models with many gates: Gibbs sampling on a quadratic, reweighted by evidences."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.engines.engine import Progress, silent
from l0bayes.selection.engines.gibbs_records import GibbsDiagnostics, GibbsOptions, Reweighting
from l0bayes.selection.engines.tilted_proposal import TiltedProposal
from l0bayes.selection.kernels.evidence_check import check_evidences
from l0bayes.selection.kernels.evidence_grid import EvidenceGrid, Evidences
from l0bayes.selection.kernels.gaussian_expansion import expand_at_ridge
from l0bayes.selection.kernels.laplace import Modes, quadratic_modes
from l0bayes.selection.kernels.laplace_accuracy import LaplaceAccuracy
from l0bayes.selection.kernels.model_averages import average_coefficients, average_expansion
from l0bayes.selection.kernels.neighbours import missed_probability
from l0bayes.selection.kernels.nodes_of_rounds import NodesOfRounds
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem, working_problem
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior

__all__ = ["sample_generalised"]

_FEWEST_ROUNDS, _MOST_ROUNDS = 2, 6
# Efficiency of the weights from which on a round is the last one.
_GOOD_ENOUGH = 0.8
_ROUND_DRAWS = 300
_ROUND = GibbsOptions(chains=64, steps=60, burn_in=30, target_mcse=0.0, num_draws=_ROUND_DRAWS)
# Shares of the work that progress shows after all rounds and after the last run.
_AFTER_ROUNDS, _AFTER_LAST = 0.5, 0.9
_NUM_DRAWS = 4000
# Draws of the last run whose evidence is computed; doubled while the error of the correction is larger than
# that of the sampler.
_CHECKED, _MOST_CHECKED = 600, 2400


@dataclass(frozen=True)
class _Weighted:
    """Distinct models of a sample: ``share`` is the share of each in it, ``weight`` that in the posterior."""

    gates: Tensor
    evidences: Evidences
    log_ratio: Tensor
    share: Tensor

    @property
    def modes(self) -> Modes:
        """Modes, at the node in the middle."""
        return self.evidences.at_centre

    @property
    def weight(self) -> Tensor:
        return torch.softmax(self.share.log() + self.log_ratio, 0)

    @property
    def efficiency(self) -> float:
        """Effective size of the sample, divided by its size."""
        return float(1.0 / (self.weight.square() / self.share).sum())


@torch.no_grad()
def sample_generalised(
    problem: GeneralisedProblem | LearnedProblem,
    options: GibbsOptions,
    *,
    start: Tensor | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> SelectionPosterior:
    r"""The posterior of a generalised linear model by Gibbs sampling on a quadratic, corrected by Laplace.

    The log likelihood is replaced by a quadratic, on which gates are sampled with coefficients integrated
    out. The evidence of each sampled model is computed by Laplace's method at the model's own mode. The
    difference :math:`\log r(\gamma) = \log Z_\gamma - \log Z^{\text{quadratic}}_\gamma` is nearly additive in
    the gates: the prior of the next sample is tilted by its regression on the gates, and the next quadratic
    has the mean slope and curvature over the reweighted models. The remaining difference is small, and is
    corrected by a control variate: if models are sampled from q,

    .. math:: P(\gamma_g = 1 \mid D) = P_q(\gamma_g = 1) + \operatorname{Cov}_q(r/E_q[r],\, \gamma_g),

    with the sampler's average of exact conditionals over all steps as the first term, and the second one
    estimated from a sample of some hundreds of models, whose evidences are checked by importance sampling
    (:func:`~l0bayes.selection.kernels.evidence_check.check_evidences`).

    Args:
        problem: The problem.
        options: Length and width of the last run.
        start: Inclusion probabilities to draw the first models from, shape ``(G,)``; for instance those of
            a variational fit.
        seed: Seed.
        progress: Called with the share of the work that is done.

    Returns:
        The posterior, with a weighted sample of models.
    """
    slab = problem.slab_scale * problem.prior.inclusion(problem.num_groups)[problem.groups].sqrt()
    grids = NodesOfRounds(problem)
    proposal = TiltedProposal(expand_at_ridge(grids.grid.centre, slab), slab.new_zeros(problem.num_groups))
    rounds = 0
    while True:
        sample = proposal.sample(_ROUND, start, seed=seed + 7919 * rounds)
        grids.adapt(sample.draws.gates)
        models = _weigh(grids.grid, proposal, sample.draws.gates)
        rounds += 1
        progress(_AFTER_ROUNDS * rounds / _MOST_ROUNDS)
        proposal = _expand_again(grids.grid.centre, models)
        start = (0.5 * (models.weight + models.share) @ models.gates).clamp(1e-3 / problem.num_groups)
        if rounds >= _FEWEST_ROUNDS and (models.efficiency > _GOOD_ENOUGH or rounds == _MOST_ROUNDS):
            break
    num_draws = options.num_draws or _NUM_DRAWS
    last = replace(options, num_draws=max(num_draws, _MOST_CHECKED))
    sample = proposal.sample(
        last,
        start,
        seed=seed,
        progress=lambda share: progress(_AFTER_ROUNDS + (_AFTER_LAST - _AFTER_ROUNDS) * share),
    )
    posterior = _corrected(problem, grids.grid, proposal, sample, num_draws, rounds, seed)
    progress(1.0)
    return posterior


def _weigh(grid: EvidenceGrid, proposal: TiltedProposal, draws: Tensor) -> _Weighted:
    gates, counts = torch.unique(draws, dim=0, return_counts=True)
    evidences = grid.evaluate(gates, proposal.problem)
    quadratic, _ = quadratic_modes(proposal.problem, gates)
    ratio = evidences.log_evidence - quadratic.log_evidence - gates @ proposal.tilt
    return _Weighted(gates, evidences, ratio, counts.double() / len(draws))


def _expand_again(problem: GeneralisedProblem, models: _Weighted) -> TiltedProposal:
    """The quadratic at the reweighted models, and the additive part of its error in their log evidence."""
    expansion = average_expansion(problem, models.modes, models.weight)
    working = working_problem(problem, *expansion)
    ratio = models.evidences.log_evidence - quadratic_modes(working, models.gates)[0].log_evidence
    # Regression on the number of open gates and on every gate, all centred, as the ratio has an arbitrary
    # constant. A ridge worth one draw keeps the slopes of gates that hardly vary in the sample near 0.
    weight = 0.5 * (models.weight + models.share)
    columns = torch.cat([models.gates.sum(1, keepdim=True), models.gates], 1)
    columns = columns - weight @ columns
    weighted = _ROUND_DRAWS * weight[:, None] * columns
    ridge = torch.eye(columns.shape[1], dtype=torch.float64)
    slopes = torch.linalg.solve(columns.T @ weighted + ridge, weighted.T @ (ratio - weight @ ratio))
    return TiltedProposal(working, slopes[0] + slopes[1:])


def _corrected(
    problem: GeneralisedProblem | LearnedProblem,
    grid: EvidenceGrid,
    proposal: TiltedProposal,
    sample: SelectionPosterior,
    num_draws: int,
    rounds: int,
    seed: int,
) -> SelectionPosterior:
    checked = _CHECKED
    while True:
        gates = sample.draws.gates[:checked]
        models = _weigh(grid, proposal, gates)
        refined = models.evidences.refine()
        # What models weigh besides their evidences: how often they were drawn, over the quadratic's.
        beside = models.share.log() + models.log_ratio - models.evidences.log_evidence
        with private_randomness(seed + 1):
            found = check_evidences(refined, beside, models.gates)
        models = replace(models, log_ratio=models.log_ratio + found.correction)
        excess = models.weight - models.share
        change = excess @ models.gates
        open_ = models.share @ models.gates
        influence = (models.weight / models.share - 1.0)[:, None] * (models.gates - open_) - change
        by_chance = (models.weight.square() * found.variance) @ (
            models.gates - models.weight @ models.gates
        ).square()
        error = (models.share @ influence.square() / checked + by_chance).sqrt()
        if checked >= _MOST_CHECKED or float(error.max()) <= float(sample.pip_mcse.max()):
            break
        checked *= 2
    quadratic, variance = quadratic_modes(proposal.problem, models.gates)
    k = problem.num_unpenalised
    own = found.moments
    unpenalised_mean = own[0][:k]
    moments = []
    for here, other in zip(
        own, (quadratic.coefficients, quadratic.coefficients.square() + variance), strict=True
    ):
        there = average_coefficients(grid.centre, quadratic, other, models.share)
        moments.append((here - there)[k:])
    sizes = sample.size_probabilities.index_add(0, models.gates.sum(1).long(), excess).clamp(min=0.0)
    mcse = (sample.pip_mcse.square() + error.square()).sqrt()
    # Of many nodes all models share a large part, which moves no probability.
    shared = float(models.weight @ refined.correction) if grid.logs.shape[1] else 0.0
    centred = models.log_ratio - models.share @ models.log_ratio
    mean = sample.mean + moments[0]
    draws = sample.draws
    gates = draws.gates[:num_draws]
    weights = _weights_of(gates, models)
    return SelectionPosterior(
        engine="gibbs",
        problem=problem,
        pip=(sample.pip + change).clamp(0.0, 1.0),
        pip_mcse=mcse,
        mean=mean,
        second_moment=torch.maximum(sample.second_moment + moments[1], mean.square()),
        log_evidence=math.nan,
        size_probabilities=sizes / sizes.sum(),
        draws=ModelDraws(
            gates,
            draws.variances[:num_draws],
            weights,
            draws.chains[:num_draws],
            _scalars_of(gates, weights, models, found.shares, seed) if grid.logs.shape[1] else None,
        ),
        unpenalised_mean=unpenalised_mean,
        diagnostics=replace(
            cast(GibbsDiagnostics, sample.diagnostics),
            largest_mcse=float(mcse.max()),
            laplace=LaplaceAccuracy(
                correction=float((refined.correction - shared).abs().max()),
                shared=shared,
                not_converged=models.evidences.not_converged,
                missed=missed_probability(grid.centre, proposal.problem, models.gates, models.modes),
                importance=found.report,
            ),
            reweighting=Reweighting(
                models=len(models.gates),
                rounds=rounds,
                efficiency=models.efficiency,
                spread=float((models.share @ centred.square()).sqrt()),
            ),
        ),
    )


def _weights_of(draws: Tensor, models: _Weighted) -> Tensor:
    """Weights of all draws: the ratio where it was computed, elsewhere its mean, which is 1."""
    rows, which = torch.unique(torch.cat([models.gates, draws]), dim=0, return_inverse=True)
    ratio = draws.new_ones(len(rows))
    ratio[which[: len(models.gates)]] = models.weight / models.share
    weights = ratio[which[len(models.gates) :]]
    return weights / weights.sum()


def _scalars_of(draws: Tensor, weights: Tensor, models: _Weighted, shares: Tensor, seed: int) -> Tensor:
    """Numbers that are learned, drawn given the model of each draw; where it was not looked at, given all."""
    rows, which = torch.unique(torch.cat([models.gates, draws]), dim=0, return_inverse=True)
    mean = models.weight @ shares
    law = mean.expand(len(rows), -1).clone()
    law[which[: len(models.gates)]] = shares
    with private_randomness(seed):
        nodes = torch.multinomial(law[which[len(models.gates) :]], 1)[:, 0]
        return models.evidences.grid.between(nodes, mean, weights).exp()
