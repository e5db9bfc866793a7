r"""Weighted tempered Gibbs sampling of the gates of a problem with Zellner's slabs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from l0bayes.selection.engines.engine import Progress, silent
from l0bayes.selection.engines.gaussian_chains import sample_chains
from l0bayes.selection.engines.gibbs_records import GibbsOptions
from l0bayes.selection.kernels.zellner_sets import zellner_sets
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.factor_table import FactorTable
from l0bayes.selection.slab_priors.fixed_g import FixedG

__all__ = ["sample_zellner"]

# Rounds in which a g that all models decide is learned, the flips of each, and when it has settled.
_ROUNDS, _FLIPS, _SETTLED = 8, 200, 0.02


@torch.no_grad()
def sample_zellner(
    problem: ZellnerProblem,
    options: GibbsOptions,
    *,
    start: Tensor | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> SelectionPosterior:
    r"""As :func:`~l0bayes.selection.engines.gaussian_chains.sample_gaussian`, with coefficients, noise and g
    integrated out.

    A g that maximises the evidence of all models together is found by short runs: of models drawn at one g,
    weighted by :math:`1/\mathrm{BF}_\gamma(g)`, the evidence at every other g follows, and the best is taken
    for the next run, until it stays.

    Args:
        problem: The problem.
        options: Length and width.
        start: Inclusion probabilities to draw the first models from, shape ``(G,)`` or ``(C, G)``.
        seed: Seed.
        progress: Called with the share of the work that is done.
    """
    if problem.slab.needs_all_models:
        problem = _learned(problem, options, start, seed)
    factors = FactorTable(problem.slab, problem.setting, problem.system.largest_r2)
    return sample_chains(
        problem,
        lambda gates: zellner_sets(problem, gates, factors),
        options,
        start=start,
        seed=seed,
        progress=progress,
    )


def _learned(
    problem: ZellnerProblem, options: GibbsOptions, start: Tensor | None, seed: int
) -> ZellnerProblem:
    short = replace(options, steps=min(options.steps, _FLIPS), burn_in=None, target_mcse=0.0, num_draws=2000)
    setting, slab = problem.setting, FixedG("unit")
    for number in range(_ROUNDS):
        now = problem.replace(slab=slab)
        draws = sample_zellner(now, short, start=start, seed=seed + number).draws
        rank, r2 = zellner_sets(now, draws.gates.bool()).fit
        factors = FactorTable(slab, setting, problem.system.largest_r2)
        found = problem.slab.settled(setting, rank, r2, -factors.log_factors(rank, r2))
        assert isinstance(found, FixedG)
        change = abs(torch.tensor(found.value(setting) / slab.value(setting)).log())
        slab = found
        if change < _SETTLED:
            break
    return problem.replace(slab=slab)
