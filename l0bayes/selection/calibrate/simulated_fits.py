r"""Fits of data sets that are drawn from a problem's prior, summed up beside their truths."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.calibrate.drawn_data import DrawnTruth, PriorDraws
from l0bayes.selection.calibrate.replicates import Array, Replicates, ranks_of
from l0bayes.selection.engines.infer_gates import infer_gates
from l0bayes.selection.kernels.resampling import equally_weighted
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.summaries.coefficients import coefficients_of

__all__ = ["RANK_BINS", "Rule", "SimulatedFits", "simulated_fits"]

RANK_BINS = 40
"""Bins of ranks; their edges are where ranks are compared with uniform ones."""

_PIP_BINS = 10
_REPLICATES = 999
# Odds beyond these count no more in the slope of the reliability.
_LARGEST_LOG_ODDS = 6.0
_LEVELS = (0.5, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Rule:
    """A rule by which gates are selected.

    Attributes:
        name: What it is called: ``"PIP > 0.5"``.
        chosen: From inclusion probabilities, shape ``(G,)``, to which gates are selected.
    """

    name: str
    chosen: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class SimulatedFits:
    """Sums over data sets.

    Attributes:
        sums: Of truths and of draws in their place.
        rules: Rules of selection.
        num_datasets: Number of data sets.
        explained: Share of the response's variance that the predictor of each had; NaN where that means
            nothing.
        engines: Engines that were used.
        effects: Of every true effect the standard deviation of what it adds to the predictor, and whether
            each rule selected its gate, shape ``(m, 1 + rules)``.
    """

    sums: Replicates
    rules: tuple[Rule, ...]
    num_datasets: int
    explained: Array
    engines: tuple[str, ...]
    effects: Array


def simulated_fits(
    source: PriorDraws,
    engine: str,
    options: Any,
    *,
    rules: tuple[Rule, ...],
    blocks: tuple[LevelBlock, ...],
    num_datasets: int,
    seed: int,
    progress: Callable[[float], None],
) -> SimulatedFits:
    """Draw data sets, fit each, and add up what is to be compared.

    Args:
        source: Where data sets come from.
        engine: Name of an engine, or ``"auto"``.
        options: Its options, or ``None``.
        rules: Rules of selection.
        blocks: Columns that stand for levels.
        num_datasets: Number of data sets.
        seed: Seed.
        progress: Called with the share of the work that is done.
    """
    sums, engines, explained, effects = Replicates(_REPLICATES), set(), [], []
    for number, child in enumerate(np.random.SeedSequence(seed).spawn(num_datasets)):
        first, second, third = (int(one) for one in child.generate_state(3))
        with private_randomness(first), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of single data sets: they are what is looked at here
            truth = source.draw()
            given = source.fitted.replace(y=truth.y)
            posterior = equally_weighted(infer_gates(given, engine, options=options, seed=second), second)
            _add(sums, source, truth, posterior, rules, blocks, third)
        engines.add(posterior.engine)
        explained.append(truth.explained)
        effects.append(_effects(truth, posterior, rules))
        progress((number + 1) / num_datasets)
    return SimulatedFits(
        sums, rules, num_datasets, np.array(explained), tuple(sorted(engines)), np.concatenate(effects)
    )


def _add(
    sums: Replicates,
    source: PriorDraws,
    truth: DrawnTruth,
    posterior: SelectionPosterior,
    rules: tuple[Rule, ...],
    blocks: tuple[LevelBlock, ...],
    seed: int,
) -> None:
    """One data set: its truth in row 0, draws of its posterior below."""
    generator = np.random.default_rng(seed)
    known = coefficients_of(posterior, seed=seed, blocks=blocks)
    chosen = torch.from_numpy(generator.integers(len(known.beta), size=sums.count))
    gates = torch.cat([truth.gates[None], posterior.draws.gates[chosen]]).numpy()
    beta = torch.cat([truth.beta[None], known.beta[chosen]])
    pip = posterior.pip.clamp(0.0, 1.0)
    _add_inclusion(sums, gates, pip.numpy())
    for number, rule in enumerate(rules):
        _add_rule(sums, number, gates, pip.numpy(), rule.chosen(pip).numpy())

    ranks = np.full(beta.shape, np.nan)
    open_ = gates[:, posterior.problem.groups.numpy()] > 0
    draws, places = known.conditional_draws.sort(0).values.numpy(), generator.random(beta.shape)
    for column in np.flatnonzero(open_.any(0)).tolist():
        rows = open_[:, column]
        ranks[rows, column] = ranks_of(beta.numpy()[rows, column], draws[:, column], places[rows, column])
    sums.add_ranks("intervals", ranks, RANK_BINS)
    for level in _LEVELS:
        inside = np.abs(ranks - 0.5) <= 0.5 * level  # NaN is not inside
        sums.add(f"within {level}", inside.sum(1).astype(float))

    sizes = gates.sum(1)
    _add_one_rank(sums, "size", sizes, posterior.draws.gates.sum(1).numpy(), generator)
    noises = known.noise_scale.square()
    variances = torch.cat([noises.new_tensor([truth.variance]), noises[chosen]])
    if source.draws_noise:
        _add_one_rank(sums, "noise", variances.numpy(), noises.numpy(), generator)
    eta = source.predictors(known.unpenalised[chosen], known.beta[chosen])
    density = source.log_likelihood(truth.y, eta, variances[1:])
    if density is not None:
        together = torch.cat([density.new_tensor([truth.log_likelihood]), density]).numpy()
        _add_one_rank(sums, "fit", together, together[1:], generator)


def _add_inclusion(sums: Replicates, gates: Array, pip: Array) -> None:
    index = np.minimum((pip * _PIP_BINS).astype(int), _PIP_BINS - 1)
    member = (index[:, None] == np.arange(_PIP_BINS)).astype(float)
    sums.add("hits", gates @ member)
    sums.add("promised", pip @ member)
    sums.add("gates", member.sum(0))
    log_odds = np.log(np.maximum(pip, 1e-12)) - np.log(np.maximum(1.0 - pip, 1e-12))
    slope = np.clip(log_odds, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
    surplus = gates - pip
    sums.add("surplus", np.stack([surplus.sum(1), surplus @ slope], 1))


def _add_rule(sums: Replicates, number: int, gates: Array, pip: Array, chosen: Array) -> None:
    count = max(1.0, float(chosen.sum()))
    false = (1.0 - gates) @ chosen / count
    sums.add(f"false {number}", false)
    sums.add(f"false squares {number}", false**2)
    sums.add(f"promised false {number}", np.array((1.0 - pip) @ chosen / count))
    sums.add(f"selected {number}", np.array(float(chosen.sum())))
    sums.add(f"found {number}", gates @ chosen)
    if not number:
        sums.add("open", gates.sum(1))


def _add_one_rank(
    sums: Replicates, name: str, values: Array, draws: Array, generator: np.random.Generator
) -> None:
    ranks = ranks_of(values, np.sort(draws), generator.random(len(values)))
    sums.add_ranks(name, ranks[:, None], RANK_BINS)


def _effects(truth: DrawnTruth, posterior: SelectionPosterior, rules: tuple[Rule, ...]) -> Array:
    """Sizes of the true effects, of a gate the norm of its own, and whether each rule selects it."""
    problem, rows = posterior.problem, []
    chosen = [rule.chosen(posterior.pip.clamp(0.0, 1.0)) for rule in rules]
    spread = (truth.beta * problem.x).T
    for gate in truth.gates.nonzero()[:, 0].tolist():
        effect = spread[problem.group_columns[gate]].sum(0)
        rows.append([float(effect.std(correction=0)), *(float(one[gate]) for one in chosen)])
    return np.array(rows).reshape(-1, 1 + len(rules))
