r"""Sampling of the gates of a wide problem: bursts of flips in a working set, and passes over all columns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.wide.full_pass import column_squares, conditionals_of_all
from l0bayes.selection.wide.wide_chains import WideChains
from l0bayes.selection.wide.wide_findings import WideFindings
from l0bayes.selection.wide.wide_problem import WideProblem
from l0bayes.selection.wide.wide_records import WideOptions
from l0bayes.selection.wide.wide_sums import BurstSums, PassSums, anchor_errors, ratio_errors
from l0bayes.selection.wide.working_prior import working_prior
from l0bayes.selection.wide.working_set import WorkingSet, choose_working_set

__all__ = ["sample_wide"]

# Groups of chains: each pass is for one of them, or for all where columns are few.
_GROUPS, _FEW_COLUMNS, _FEW_PASSES = 8, 4_000, 16
# Flips in a round of the burn-in, and columns open at the start.
_ROUND, _OPEN_AT_FIRST = 35, 10.0
# Burn-in ends when no round finds a column outside with a larger probability, but not before so many rounds.
_FOUND, _LEAST_ROUNDS, _MOST_ROUNDS = 0.01, 6, 25
_QUIET_ROUNDS, _FORGOTTEN = 2, 0.3
# Where a column outside turns out to have a larger probability, the set is chosen anew, so many times.
_LARGEST_OUTSIDE, _NEW_SETS = 0.02, 3
# Bursts before it may stop early.
_LEAST_BURSTS = 4
# Flips between two updates of an unknown noise variance; odd, since flips go in pairs.
_NOISE_EVERY, _NOISE_EVERY_AT_FIRST = 15, 5
_FEW_GATES = 64
# Share of the progress at which burn-in ends.
_BURNT = 0.3


@torch.no_grad()
def sample_wide(
    problem: WideProblem,
    options: WideOptions,
    *,
    start: Tensor | None = None,
    seed: int = 0,
    progress: Callable[[float], None],
) -> WideFindings:
    r"""Weighted tempered Gibbs sampling of the gates of any number of columns, coefficients integrated out.

    Chains flip gates within a working set of anchors and columns drawn by chance, a new one for every burst
    of flips; :class:`~.wide_chains.WideChains` says why the posterior of all columns stays their law. At the
    end of a burst a pass over all columns computes the exact conditional probability of every gate given the
    models of some chains (:func:`~.full_pass.conditionals_of_all`). With states s of weight :math:`v_s` the
    inclusion probabilities are

    .. math:: \hat\pi_j = \frac{\sum_s v_s\, p(\gamma_j = 1 \mid \gamma^{(s)}_{-j}, D)}{\sum_s v_s},

    for anchors over all flips, for the other columns over the states at passes. Their sum outside of the
    anchors has a standard error over groups of chains, and a second estimate, the number of open gates
    outside, that must agree with it.

    Burn-in finds the anchors: flips in the present set, then a pass, whose most probable columns make the
    next set, until no round finds another. Nothing of it is counted.

    Args:
        problem: The problem.
        options: Length and width.
        start: Inclusion probabilities to start from, shape ``(p,)``.
        seed: Seed.
        progress: Called with the share of the work that is done. Where it, or anything, raises
            ``KeyboardInterrupt`` after burn-in, what was found so far is given.
    """
    with private_randomness(seed):
        return _Sampler(problem, options, progress).run(start)


class _Sampler:
    def __init__(
        self,
        problem: WideProblem,
        options: WideOptions,
        progress: Callable[[float], None],
    ) -> None:
        self.problem, self.options, self.progress = problem, options, progress
        self.squares = column_squares(problem)
        self.began = time.perf_counter()
        self.flips, self.done, self.turn = 0, 0.0, 0
        bursts = max(1, math.ceil(options.steps / options.burst))
        few = problem.num_columns <= _FEW_COLUMNS or bursts < _FEW_PASSES
        self.group = torch.arange(options.chains) % min(_GROUPS, options.chains)
        self.groups_a_pass = int(self.group.max()) + 1 if few else 1

    def run(self, start: Tensor | None) -> WideFindings:
        chains, score = self._begin(start)
        score = self._burn_in(chains, score)
        working = self._choose(score)
        for _ in range(_NEW_SETS + 1):
            chains.restart(working)
            found = self._sample(chains)
            if found.cut_short or found.largest_outside <= _LARGEST_OUTSIDE:
                break
            score = torch.maximum(score, found.pip[0])
            working = self._choose(score)
            if torch.equal(working.anchors, chains.working.anchors):  # there is room for no others
                break
        if not found.cut_short:
            self.progress(1.0)
        return found

    # ---- burn-in ---------------------------------------------------------------------------------

    def _begin(self, start: Tensor | None) -> tuple[WideChains, Tensor]:
        """Chains at their first models, and the score of every column."""
        problem, count = self.problem, self.options.chains
        guess = _noise_guess(problem)
        score, unknown = self._alone(guess)
        score = score if start is None else torch.maximum(score, start)
        opening = score if start is None else start
        # Of many similar columns each has a high probability by itself.
        opening = opening * min(1.0, _OPEN_AT_FIRST / max(float(opening.sum()), 1e-300))
        working = self._choose(score)
        chosen = torch.rand(count, len(working.anchors), dtype=torch.float64) < opening[working.anchors]
        if unknown and start is None and problem.num_columns <= _FEW_GATES:
            # Large models of little noise and small ones of much may be far apart: from both sides.
            chosen[1::2] = True
        chain, place = chosen.nonzero(as_tuple=True)
        variances = guess.expand(count).clone()
        opened = chain, working.anchors[place]
        exploration = self.options.exploration
        return WideChains(problem, working, opened, variances, exploration, unknown, self.group), score

    def _alone(self, guess: Tensor) -> tuple[Tensor, bool]:
        """Probability of every column beside no other, and whether each chain has a noise of its own."""
        chance = torch.full((self.problem.num_columns,), 0.5, dtype=torch.float64)
        chance[0] = 1.0
        nothing = torch.empty(0, dtype=torch.long)
        one = torch.zeros(1, dtype=torch.long)
        empty = WideChains(
            self.problem, WorkingSet(chance), (nothing, nothing), guess.expand(1).clone(), 1.0, False, one
        )
        sets = empty.sets
        blocks = conditionals_of_all(self.problem, self.squares, sets, one, empty.columns)
        score = torch.cat([block.open_[0] for block in blocks])
        return score, not math.isfinite(sets.problem.noise_variance) and sets.conjugate is None

    def _burn_in(self, chains: WideChains, score: Tensor) -> Tensor:
        """The score of every column when rounds find no further ones."""
        quiet, rounds = 0, _MOST_ROUNDS
        if chains.working.is_all:
            crowded = chains.moves_noise and 2 * self.problem.num_columns > len(self.problem.y)
            rounds = max(_LEAST_ROUNDS, self.options.steps // (2 * _ROUND) if crowded else 0)
        for number in range(rounds):
            self._show(_BURNT * number / rounds)
            burst = BurstSums(self.options.chains, chains.num_anchors)
            settling = number < _LEAST_ROUNDS // 2
            chains.run(_ROUND, burst.record, noise_every=_NOISE_EVERY_AT_FIRST, settle=settling)
            self.flips += _ROUND
            if chains.working.is_all:
                chains.refresh()
                continue
            seen, anchors = self._pass(chains), chains.working.anchors
            now = seen.pip.sum(0) / seen.weight.sum()
            outside = now.clone()
            outside[anchors] = 0.0
            now[anchors] = ratio_errors(burst.pip, burst.weight)[0]
            score = torch.maximum(_FORGOTTEN * score, now)
            quiet = quiet + 1 if float(outside.max()) <= _FOUND else 0
            if quiet >= _QUIET_ROUNDS and number + 1 >= _LEAST_ROUNDS:
                break
            chains.restart(self._choose(score))
        return score

    # ---- what counts -----------------------------------------------------------------------------

    def _sample(self, chains: WideChains) -> WideFindings:
        options, working = self.options, chains.working
        bursts = BurstSums(options.chains, len(working.anchors))
        passes = PassSums(int(self.group.max()) + 1, self.problem.num_columns)
        flips, cut_short = 0, False
        try:
            while flips < options.steps:
                self._show(_BURNT + (1.0 - _BURNT) * flips / options.steps)
                chains.refresh()
                burst = BurstSums(options.chains, len(working.anchors))
                chains.run(options.burst, burst.record, noise_every=_NOISE_EVERY)
                seen = None if working.is_all else self._pass(chains)
                bursts.add(burst)
                if seen is not None:
                    passes.add(seen)
                flips += options.burst
                if self._enough(bursts, passes, working.anchors):
                    break
        except KeyboardInterrupt:
            cut_short = True
            if not float(bursts.weight.sum()) > 0.0:  # there is nothing to give
                raise
        self.flips += flips
        return WideFindings(bursts, passes, working, chains, self.flips, cut_short)

    def _pass(self, chains: WideChains) -> PassSums:
        """A pass over all columns for the chains whose turn it is."""
        groups = int(self.group.max()) + 1
        turns = (self.turn + torch.arange(self.groups_a_pass)) % groups
        self.turn = int(turns[-1]) + 1
        some = torch.isin(self.group, turns).nonzero()[:, 0]
        weight, group = 1.0 / chains.state.phi[some], self.group[some]
        found = PassSums(groups, self.problem.num_columns)
        for block in conditionals_of_all(self.problem, self.squares, chains.sets, some, chains.columns):
            found.record(block, weight, group)
        found.finish(weight, group)
        return found

    def _enough(self, bursts: BurstSums, passes: PassSums, anchors: Tensor) -> bool:
        options = self.options
        if time.perf_counter() - self.began > options.max_seconds:
            return True
        if len(bursts.models.weights) < _LEAST_BURSTS * options.burst:
            return False
        of_anchors = anchor_errors(bursts, self.group, not passes.passes)[1]
        if float(of_anchors.max()) > options.target_mcse:
            return False
        if not passes.passes:
            return True
        if passes.passes * self.groups_a_pass < 2 * len(passes.weight):
            return False
        outside = ratio_errors(passes.pip, passes.weight)[1]
        outside[anchors] = 0.0  # these are known better, from bursts
        return float(outside.max()) <= options.target_mcse

    def _choose(self, score: Tensor) -> WorkingSet:
        return choose_working_set(score, self.options.working_set, self.options.others)

    def _show(self, share: float) -> None:
        """Show a share of the work; a set that is chosen anew begins sampling again."""
        self.done = max(self.done, share)
        self.progress(self.done)


def _noise_guess(problem: WideProblem) -> Tensor:
    """A known noise variance, or that of the response."""
    inner = problem.on(
        torch.zeros(1, dtype=torch.long),
        working_prior(problem.prior, torch.zeros(1, dtype=torch.long), problem.num_columns),
    )
    noise = inner.noise_prior
    if noise is None:
        return inner.y.new_tensor(inner.noise_variance)
    return (noise.rate + 0.5 * inner.gram.square) / (noise.shape + 0.5 * inner.num_observations)
