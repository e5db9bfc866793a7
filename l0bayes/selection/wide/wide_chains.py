r"""Chains of models of all columns, which work on some of the columns at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.kernels.gate_conditionals import Conditionals
from l0bayes.selection.kernels.noise_proposals import NoiseMoves
from l0bayes.selection.wide.full_pass import ActiveProducts
from l0bayes.selection.wide.wide_problem import WideProblem
from l0bayes.selection.wide.working_prior import working_prior
from l0bayes.selection.wide.working_set import WorkingSet

__all__ = ["WideChains"]

# Log odds are held below overflow.
_LARGEST_ODDS = 600.0


class WideChains:
    r"""C chains whose open gates are anywhere, and whose flips are within a working set.

    **The law.** A set W is drawn given a model γ: anchors and open gates are in it, every other column j is
    with probability :math:`a_j`, independently. So

    .. math:: \pi(\gamma)\,q(W \mid \gamma) \propto \pi(\gamma) \prod_{j \in W} a_j^{1 - \gamma_j}
        \prod_{j \notin W} (1 - a_j)\; 1\{\gamma \subseteq W\},

    whose marginal law of γ is the posterior π. Given W it is the posterior of the gates in W, the others
    shut, with prior odds times :math:`1/a_j`; a column that is rarely drawn is opened as much more readily.
    Within W gates are flipped as in
    :func:`~l0bayes.selection.engines.gaussian_chains.sample_gaussian`, which leaves
    :math:`\pi(\gamma) q(W \mid \gamma)\,\phi_W(\gamma)` invariant. A new set drawn from
    :math:`q(\cdot \mid \gamma)` is taken with probability :math:`\min(1, \phi_{W'}(\gamma)/\phi_W(\gamma))`,
    a Metropolis step with the same invariant law; states have weight :math:`1/\phi_W`. The chances
    :math:`a_j` must not change while states are counted. Anchors have :math:`a_j = 1`: their conditional
    probabilities are those of the posterior itself.

    The random part of W is the same for the chains of a group, which are then not independent of one another,
    and another for each group. All share one matrix of products; which columns each
    may flip is kept for each.

    Args:
        problem: The problem.
        working: Anchors and chances.
        opened: Open gates at the start: chains and columns, each of shape ``(K,)``.
        variances: Noise variance of every chain, shape ``(C,)``.
        exploration: ε of the flips.
        moves_noise: Whether each chain has a noise variance that is moved.
        group: Group of every chain, shape ``(C,)``.

    Attributes:
        columns: Numbers of the columns that are laid out, the anchors first, shape ``(m,)``.
        sets: The chains on these.
        state: Conditionals of the gates among these.
        offered, taken: Number of new sets that were offered to chains, and taken.
    """

    sets: ActiveSets
    state: Conditionals
    noise: NoiseMoves | None
    working: WorkingSet
    allowed: Tensor
    _tilt: Tensor | None

    def __init__(
        self,
        problem: WideProblem,
        working: WorkingSet,
        opened: tuple[Tensor, Tensor],
        variances: Tensor,
        exploration: float,
        moves_noise: bool,
        group: Tensor,
    ) -> None:
        self.problem, self.moves_noise = problem, moves_noise
        self._floor = exploration / working.expected_size
        self._place = torch.full((problem.num_columns,), -1)
        self._x = torch.empty(len(problem.y), 0, dtype=torch.float64)
        self.columns = torch.empty(0, dtype=torch.long)
        self._centre: Tensor | None = None
        self.offered = self.taken = 0
        self.count, self.group, self.groups = len(variances), group, int(group.max()) + 1
        self.restart(working, opened, variances)

    @property
    def num_anchors(self) -> int:
        """Number of anchors A; they are the first of the columns that are laid out."""
        return len(self.working.anchors)

    @property
    def opened(self) -> tuple[Tensor, Tensor]:
        """Open gates of all chains: chains and columns, each of shape ``(K,)``."""
        chain, place = self.sets.gates.nonzero(as_tuple=True)
        return chain, self.columns[place]

    def restart(
        self,
        working: WorkingSet,
        opened: tuple[Tensor, Tensor] | None = None,
        variances: Tensor | None = None,
    ) -> None:
        """Go on with other anchors and chances, from a set of the anchors and the open gates alone.

        Args:
            working: Anchors and chances.
            opened: Open gates; by default those that are.
            variances: Noise variances; by default those that are.
        """
        opened = self.opened if opened is None else opened
        variances = self.sets.variances if variances is None else variances
        self.working = working
        self._lay_out(torch.empty(0, dtype=torch.long), opened, variances)
        allowed = torch.ones(self.count, len(self.columns), dtype=torch.bool)
        allowed[:, self.num_anchors :] = self.sets.gates[:, self.num_anchors :]
        self._allow(allowed)

    def refresh(self) -> None:
        """Offer every chain a new set, and lay out the columns that any of them may flip."""
        if self.working.is_all:
            self.sets.rebuild()
            return
        drawn = [self.working.draw() for _ in range(self.groups)]
        union = torch.unique(torch.cat(drawn))
        offered = torch.stack([torch.isin(union, one) for one in drawn])[self.group]
        chain, column = self.opened
        taken = torch.rand(self.count, dtype=torch.float64) < self._phi_ratio(union, offered, chain, column)
        self.offered += self.count
        self.taken += int(taken.sum())
        # Which columns beside the anchors each chain may flip from now on.
        before = self.columns[self.num_anchors :]
        beside = torch.unique(torch.cat([union, before]))
        allowed = torch.zeros(self.count, len(beside), dtype=torch.bool)
        allowed[:, torch.searchsorted(beside, before)] = self.allowed[:, self.num_anchors :]
        allowed[taken] = False
        mine = torch.searchsorted(beside, union)
        allowed[:, mine] |= offered & taken[:, None]
        outside = self.working.chance[column] < 1.0
        allowed[chain[outside], torch.searchsorted(beside, column[outside])] = True
        needed = allowed.any(0)
        self._lay_out(beside[needed], (chain, column), self.sets.variances)
        anchors = torch.ones(self.count, self.num_anchors, dtype=torch.bool)
        self._allow(torch.cat([anchors, allowed[:, needed]], 1))

    def _phi_ratio(self, union: Tensor, offered: Tensor, chain: Tensor, column: Tensor) -> Tensor:
        """φ of the set that each chain is offered over φ of the set that it has, shape ``(C,)``."""
        weights = self.state.weights
        common = weights[:, : self.num_anchors].sum(1)
        beside = self.sets.gates[:, self.num_anchors :]
        common = common + torch.where(beside, weights[:, self.num_anchors :], 0.0).sum(1)
        x = self.problem.gather(union)
        squares = self.sets.problem.weights @ x.square()
        active = ActiveProducts(self.problem, self.sets, torch.arange(self.count))
        odds = active.conditionals(x, squares, union)[0] - self.working.chance[union].log()
        odds = odds.clamp(max=_LARGEST_ODDS).exp_()
        offered = offered.clone()
        spot = torch.searchsorted(union, column).clamp(max=max(0, len(union) - 1))
        here = union[spot] == column if len(union) else torch.zeros_like(column, dtype=torch.bool)
        offered[chain[here], spot[here]] = False  # open gates are in every set
        shut = 0.5 * (self._floor + (1.0 + self._floor) * odds)
        return (common + torch.where(offered, shut, 0.0).sum(1)) / self.state.phi

    def run(
        self,
        flips: int,
        record: Callable[[WideChains], None],
        *,
        noise_every: int,
        settle: bool = False,
    ) -> None:
        """Flip so many gates in every chain; the conditionals are up to date at the end.

        Args:
            flips: Number of flips; odd, since flips go in pairs.
            record: Called before each flip.
            noise_every: Flips between two updates of an unknown noise variance.
            settle: Whether these are draws without acceptance, at the beginning of burn-in.
        """
        for step in range(flips):
            due = self.noise is not None and step % noise_every == 0
            if self.noise is not None and due and settle:
                self.sets = self.noise.settle(self.sets)
                self._centre = self.noise.centre
            self.state.update(self.sets, self.sets.problem.prior)
            if self.noise is not None and due and not settle:
                self.noise.move(self.sets, self.state)
            record(self)
            self.sets.flip(self.state.choose())
        self.state.update(self.sets, self.sets.problem.prior)

    # ---- memory ----------------------------------------------------------------------------------

    def _lay_out(self, others: Tensor, opened: tuple[Tensor, Tensor], variances: Tensor) -> None:
        """Gather columns and their products, and compute the chains from scratch."""
        chain, column = opened
        anchors, chance = self.working.anchors, self.working.chance
        beside = torch.unique(torch.cat([others, column]))
        columns = torch.cat([anchors, beside[chance[beside] < 1.0]])
        x = torch.empty(len(self._x), len(columns), dtype=torch.float64)
        known = self._place[columns] >= 0
        x[:, known] = self._x[:, self._place[columns[known]]]
        if not bool(known.all()):
            x[:, ~known] = self.problem.gather(columns[~known])
        self._place[self.columns] = -1
        self._place[columns] = torch.arange(len(columns))
        self._x, self.columns = x, columns
        self._tilt = None if self.working.is_all else -chance[columns].log()
        prior = working_prior(self.problem.prior, columns, self.problem.num_columns, self._tilt)
        gates = torch.zeros(self.count, len(columns), dtype=torch.bool)
        gates[chain, self._place[column]] = True
        self._begin(ActiveSets(self.problem.on(columns, prior, x), gates, variances))

    def _begin(self, sets: ActiveSets) -> None:
        self.sets = sets
        exploration = self._floor * sets.gates.shape[1]
        self.state = Conditionals(sets, exploration)
        self.noise = NoiseMoves(sets, exploration) if self.moves_noise else None
        if self.noise is not None and self._centre is not None:
            self.noise.centre = self._centre  # proposals depend on it: it stays as it is
        elif self.noise is not None:
            self._centre = self.noise.centre

    def _allow(self, allowed: Tensor) -> None:
        """Say which gates each chain may flip."""
        self.allowed = allowed
        problem = self.sets.problem
        some = None if bool(allowed.all()) else allowed
        prior = working_prior(self.problem.prior, self.columns, self.problem.num_columns, self._tilt, some)
        self.sets.problem = problem.replace(prior=prior)
        self.state.update(self.sets, prior)
