r"""Weighted tempered Gibbs sampling of the gates of a Gaussian problem, many chains in one batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.engines.engine import Progress, silent
from l0bayes.selection.engines.gibbs_records import GibbsDiagnostics, GibbsOptions
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.kernels.gate_conditionals import Conditionals
from l0bayes.selection.kernels.noise_proposals import NoiseMoves
from l0bayes.selection.kernels.resampling import systematic_indices
from l0bayes.selection.kernels.slab_scale_moves import SlabScaleMoves
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem, default_draws
from l0bayes.selection.slab_priors.slab_scale_law import SlabScaleLaw

__all__ = ["sample_chains", "sample_gaussian", "sample_learned_slabs"]

# Flips between two updates of the noise before anything is kept; odd, since flips go in pairs.
_NOISE_EVERY_AT_FIRST = 5
# So many gates can be shut, one a flip, before anything is kept.
_FEW_GATES = 40
_BURN_IN = 100


@dataclass
class _Sums:
    """Weighted sums over the steps, one entry for each chain, and the states themselves."""

    weight: Tensor
    pip: Tensor
    mean: Tensor
    second: Tensor
    gates: list[Tensor] = field(default_factory=list)
    sizes: list[Tensor] = field(default_factory=list)
    variances: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)
    scales: list[Tensor] = field(default_factory=list)


@torch.no_grad()
def sample_gaussian(
    problem: GaussianProblem,
    options: GibbsOptions,
    *,
    start: Tensor | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> SelectionPosterior:
    r"""The posterior of a Gaussian problem by weighted tempered Gibbs sampling, coefficients integrated out.

    From a state γ a gate is chosen with probability :math:`w_g(\gamma)/\phi(\gamma)` and flipped, where

    .. math:: w_g = \frac{\tfrac12\,\eta_g}{p(\gamma_g \mid \gamma_{-g}, D)}, \qquad
        \eta_g = p(\gamma_g = 1 \mid \gamma_{-g}, D) + \varepsilon / G, \qquad \phi = \sum_g w_g.

    Every flip is accepted. The chain's stationary law is the posterior times φ, so that states have weight
    1/φ; inclusion probabilities and moments are averages of each gate's exact conditional given the others,
    for every gate at every step. An unknown noise variance is moved by Metropolis steps on
    :math:`\log\sigma^2` with the same stationary law.

    Sources: Zanella and Roberts 2019 (tempered Gibbs sampling), Jankowiak 2022 (arXiv 2208.01180, the
    weights for variable selection).

    Args:
        problem: The problem.
        options: Length and width.
        start: Inclusion probabilities to draw the first models from, shape ``(G,)`` or ``(C, G)``; by
            default those of each gate alone.
        seed: Seed.
        progress: Called with the share of the work that is done.
    """
    unknown = problem.noise_prior is not None and problem.conjugate_noise is None
    guess = _noise_guess(problem)

    def sets_of(gates: Tensor) -> ActiveSets:
        return active_sets(problem, gates, guess.expand(len(gates)).clone())

    return sample_chains(
        problem, sets_of, options, start=start, seed=seed, progress=progress, moves_noise=unknown
    )


def sample_learned_slabs(
    problem: LearnedSlabProblem,
    options: GibbsOptions,
    *,
    start: Tensor | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> SelectionPosterior:
    """:func:`sample_gaussian` with a scale of the slabs that is moved with the gates
    (:class:`~l0bayes.selection.kernels.slab_scale_moves.SlabScaleMoves`).

    Args:
        problem, options, start, seed, progress: As there.
    """
    given = problem.given
    unknown = given.noise_prior is not None and given.conjugate_noise is None
    guess = _noise_guess(given)

    def sets_of(gates: Tensor) -> ActiveSets:
        nothing = torch.zeros(len(gates), dtype=torch.float64)
        return active_sets(given, gates, guess.expand(len(gates)).clone(), nothing)

    return sample_chains(
        problem,
        sets_of,
        options,
        start=start,
        seed=seed,
        progress=progress,
        moves_noise=unknown,
        slab_law=problem.slab_law,
    )


def _noise_guess(problem: GaussianProblem) -> Tensor:
    """A noise variance to begin with."""
    noise = problem.noise_prior
    if noise is None:
        return problem.y.new_tensor(problem.noise_variance)
    return (noise.rate + 0.5 * problem.gram.square) / (noise.shape + 0.5 * problem.num_observations)


@torch.no_grad()
def sample_chains(
    problem: SelectionProblem,
    sets_of: Callable[[Tensor], ActiveSets],
    options: GibbsOptions,
    *,
    start: Tensor | None = None,
    seed: int = 0,
    progress: Progress = silent,
    moves_noise: bool = False,
    slab_law: SlabScaleLaw | None = None,
) -> SelectionPosterior:
    """:func:`sample_gaussian` for chains of any kind.

    Args:
        problem: The problem.
        sets_of: From models to the chains that begin there.
        options: Length and width.
        start: Inclusion probabilities to draw the first models from, shape ``(G,)`` or ``(C, G)``.
        seed: Seed.
        progress: Called with the share of the work that is done.
        moves_noise: Whether each chain has a noise variance that is moved.
        slab_law: Prior of what slab scales are multiplied by, where each chain has one that is moved.
    """
    started = time.perf_counter()
    with private_randomness(seed):
        sets = _begin(problem, sets_of, start, options.chains)
        state = Conditionals(sets, options.exploration)
        noise = NoiseMoves(sets, options.exploration) if moves_noise else None
        slabs = None if slab_law is None else SlabScaleMoves(sets, options.exploration, slab_law)
        sums = _empty(sets)
        kept, burn_in = 0, _burn_in(problem, options, moves_noise)
        for step in range(options.steps):
            progress(step / options.steps)
            if step and step % options.rebuild_every == 0:
                sets.rebuild()
            burning = step < burn_in
            if noise is not None and 2 * step < burn_in and step % _NOISE_EVERY_AT_FIRST == 0:
                sets = noise.settle(sets)
            state.update(sets, problem.prior)
            # Noises that were settled are not of the law of the chain: moves bring them there.
            every = _NOISE_EVERY_AT_FIRST if burning else options.noise_every
            if noise is not None and 2 * step >= burn_in and step % every == 0:
                noise.move(sets, state)
            if slabs is not None and step % every == 0:
                slabs.move(sets, state)
            if not burning:
                kept += 1
                _record(sums, sets, state)
            sets.flip(state.choose())
            if kept and kept % options.check_every == 0:
                error = _standard_errors(sums, sums.pip)
                late = time.perf_counter() - started > options.max_seconds
                if kept >= 2 * options.check_every and (error.max() <= options.target_mcse or late):
                    break
        posterior = _result(problem, sets, sums, step + 1, options.num_draws or default_draws(problem))
    progress(1.0)
    return posterior


def _burn_in(problem: SelectionProblem, options: GibbsOptions, unknown: bool) -> int:
    """Where models may fit nearly all rows, chains take long to come to the noise that these leave."""
    if options.burn_in is not None:
        return options.burn_in
    wide = unknown and 2 * problem.num_columns > problem.num_rows
    return options.steps // 2 if wide else min(_BURN_IN, options.steps // 2)


def _begin(
    problem: SelectionProblem, sets_of: Callable[[Tensor], ActiveSets], start: Tensor | None, chains: int
) -> ActiveSets:
    count, restriction = problem.num_groups, problem.prior.restriction
    nothing = torch.zeros(chains, count, dtype=torch.bool)
    if restriction is not None:
        nothing = restriction.repaired(nothing)
    if start is None:
        sets = sets_of(nothing[:1])
        alone = sets.log_odds() + problem.prior.conditional_log_odds(nothing[:1].double())
        start = torch.sigmoid(alone)[0]
        # Of many similar columns each has a high probability by itself: open about ten gates at most.
        start = start * min(1.0, 10.0 / max(float(start.sum()), 1e-300))
        start = start.expand(chains, count)
        if not math.isfinite(problem.noise_variance) and count <= _FEW_GATES:
            # Large models of little noise and small ones of much may be far apart: from both sides.
            start = torch.where(torch.arange(chains)[:, None] % 2 == 0, start, 1.0)
    gates = torch.rand(chains, count, dtype=torch.float64) < start.to(torch.float64).expand(chains, count)
    return sets_of(gates if restriction is None else restriction.repaired(gates))


def _empty(sets: ActiveSets) -> _Sums:
    chains, count = sets.gates.shape
    columns = count * sets.width
    zeros = sets.residual.new_zeros
    return _Sums(zeros(chains), zeros(chains, count), zeros(chains, columns), zeros(chains, columns))


def _record(sums: _Sums, sets: ActiveSets, state: Conditionals) -> None:
    weight = 1.0 / state.phi
    share = state.open_ * weight[:, None]
    by_column = share if sets.width == 1 else share.repeat_interleave(sets.width, 1)
    sums.weight += weight
    sums.pip += share
    sums.mean.addcmul_(by_column, state.mean)
    sums.second.addcmul_(by_column, state.variance.addcmul_(state.mean, state.mean))
    sums.gates.append(sets.gates.clone())
    sums.sizes.append(sets.sizes)
    sums.variances.append(sets.noise_record())
    sums.weights.append(weight)
    if sets.log_scale is not None:
        sums.scales.append(sets.log_scale.exp())


def _standard_errors(sums: _Sums, totals: Tensor) -> Tensor:
    """Standard errors of ratios of sums over independent chains, by the delta method."""
    chains = len(sums.weight)
    ratio = totals.sum(0) / sums.weight.sum()
    spread = (totals - ratio * sums.weight[:, None]) / sums.weight.mean()
    return spread.std(0) / math.sqrt(chains)


def _result(
    problem: SelectionProblem, sets: ActiveSets, sums: _Sums, flips: int, num_draws: int
) -> SelectionPosterior:
    total = sums.weight.sum()
    columns = sets.columns - sets.fixed
    gates = torch.stack(sums.gates)  # steps, chains, groups
    variances, weights = torch.stack(sums.variances), torch.stack(sums.weights) / total
    flat = weights.flatten()
    sizes = torch.zeros(problem.num_groups + 1, dtype=torch.float64)
    sizes.index_add_(0, torch.cat(sums.sizes), flat)
    error = _standard_errors(sums, sums.pip)
    chosen = systematic_indices(flat, num_draws)[torch.randperm(num_draws)]
    models = gates.flatten(0, 1)[chosen]
    return SelectionPosterior(
        engine="gibbs",
        problem=problem,
        pip=sums.pip.sum(0) / total,
        pip_mcse=error,
        mean=(sums.mean.sum(0) / total)[columns],
        second_moment=(sums.second.sum(0) / total)[columns],
        log_evidence=math.nan,
        size_probabilities=sizes,
        draws=ModelDraws(
            models.double(),
            sets.noise_drawn(variances.flatten()[chosen], models),
            torch.full((len(chosen),), 1.0 / len(chosen), dtype=torch.float64),
            torch.arange(gates.shape[1]).expand(gates.shape[:2]).flatten()[chosen],
            torch.stack(sums.scales).flatten()[chosen, None] if sums.scales else None,
        ),
        diagnostics=GibbsDiagnostics(
            flips=flips,
            chains=gates.shape[1],
            largest_mcse=float(error.max()),
            ess=float(1.0 / flat.square().sum()),
        ),
    )
