r"""Conditional probabilities of all gates given the others, for all chains of a sampler at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.problem.inclusion_prior import InclusionPrior

__all__ = ["Conditionals"]

# Where a gate is more certain than this, the odds of the chain's gates are taken beside its: one of the most
# certain ones is chosen at once, each as often as it should, and the state has no weight.
_LARGEST_ODDS = 600.0


class Conditionals:
    r"""Conditional probabilities, moments and flip weights of all gates, in memory that is used again.

    With the log odds :math:`\ell_g` of gate g given the others, and :math:`E_g = e^{\ell_g}` where it is shut
    and :math:`e^{-\ell_g}` where it is open, the conditional probability of the opposite state is
    :math:`E_g / (1 + E_g)`, and the weight of a flip in tempered Gibbs sampling

    .. math:: w_g = \frac{\tfrac12\,\eta_g}{p(\gamma_g \mid \gamma_{-g}, D)}, \qquad
        \eta_g = p(\gamma_g = 1 \mid \gamma_{-g}, D) + \varepsilon / G

    is :math:`\tfrac12(f + fE_g + E_g)` where shut and :math:`\tfrac12(f + fE_g + 1)` where open, with
    :math:`f = \varepsilon/G`. Few gates are open: the formula for shut gates is computed for all, without a
    mask, and then replaced for the open ones.

    Args:
        sets: The chains, for the shapes.
        exploration: ε.

    Attributes:
        open_: Probability of being open, shape ``(C, G)``.
        cumulative: Sums of the weights up to each gate, shape ``(C, G)``.
        mean, variance: Of every gated column's coefficient if its gate were open, ``(C, G * width)``.
    """

    def __init__(self, sets: ActiveSets, exploration: float) -> None:
        shape = sets.gates.shape
        self.floor = exploration / shape[1]
        self.open_, self.cumulative, self._odds, self._spare = (
            torch.empty(shape, dtype=torch.float64) for _ in range(4)
        )
        self.mean, self.variance = self._odds, self._odds
        if sets.by_columns:
            self.mean, self.variance = torch.empty_like(self.open_), torch.empty_like(self.open_)

    @property
    def weights(self) -> Tensor:
        """Weights of the flips of all gates, shape ``(C, G)``."""
        return self._odds

    @property
    def phi(self) -> Tensor:
        """Sum of the weights, shape ``(C,)``."""
        return self.cumulative[:, -1]

    def log_phi(self, sets: ActiveSets, prior: InclusionPrior) -> Tensor:
        """Log of φ for the state that the chains are in, however certain gates are; shape ``(C,)``.

        φ itself is held below overflow. That is as good for weights of states, of which such ones have none,
        and for choosing a gate; not for comparing the same gates at two noise variances.

        Args:
            sets: The chains.
            prior: Prior of the gates.
        """
        odds = sets.log_odds() + prior.conditional_log_odds(sets.gates.double())
        against = torch.where(sets.gates, -odds, odds)
        floor = torch.full_like(odds, math.log(self.floor))
        open_ = torch.logaddexp(torch.full_like(odds, math.log1p(self.floor)), floor + against)
        shut = torch.logaddexp(floor, against + math.log1p(self.floor))
        weights = torch.where(sets.gates, open_, shut)
        movable = prior.movable(sets.gates)
        if movable is not None:
            weights = torch.where(movable, weights, -torch.inf)
        return torch.logsumexp(weights, 1) - math.log(2.0)

    def update(self, sets: ActiveSets, prior: InclusionPrior) -> None:
        """Compute everything for the present state of the chains.

        Args:
            sets: The chains.
            prior: Prior of the gates.
        """
        if sets.by_columns:
            self._of_columns(sets, prior)
        else:
            self._of_groups(sets, prior)
        movable = prior.movable(sets.gates)
        if movable is not None:  # what cannot flip is never chosen
            self._odds.masked_fill_(~movable, 0.0)
        torch.cumsum(self._odds, 1, out=self.cumulative)

    def choose(self) -> Tensor:
        """A gate for each chain with probability in proportion to its weight, shape ``(C,)``.

        By inversion, which takes one uniform number where ``multinomial`` takes many.
        """
        places = torch.rand(len(self.cumulative), 1, dtype=torch.float64) * self.cumulative[:, -1:]
        chosen: Tensor = torch.searchsorted(self.cumulative, places)[:, 0]
        return chosen.clamp_(max=self.cumulative.shape[1] - 1)

    def _of_groups(self, sets: ActiveSets, prior: InclusionPrior) -> None:
        odds = sets.log_odds() + prior.conditional_log_odds(sets.gates.double())
        against = _held(torch.where(sets.gates, -odds, odds)).exp_()
        torch.add(torch.where(sets.gates, 1.0, against), against, alpha=self.floor, out=self._odds)
        self._odds.add_(self.floor).mul_(0.5)
        stay = (1.0 + against).reciprocal_()
        self.open_ = torch.where(sets.gates, stay, 1.0 - stay)
        self.mean, self.variance = sets.conditional_moments()

    def _of_columns(self, sets: ActiveSets, prior: InclusionPrior) -> None:
        residual, pivot = sets.residual[:, sets.fixed :], sets.pivot[:, sets.fixed :]
        size = sets.sizes[:, None].to(torch.float64)
        of_chains = sets.problem.slab_scaled_by_noise or sets.log_scale is not None
        half_log = 0.5 * (sets.log_tau if of_chains else sets.log_tau[:1])
        half_log = half_log[:, sets.fixed :]
        constant = half_log + _prior_odds(sets, prior, size)
        odds, root = self._odds, self._spare
        torch.div(residual, pivot, out=self.mean)
        torch.rsqrt(pivot, out=root)
        torch.mul(root, root, out=self.variance)
        if sets.conjugate is None:
            torch.addcmul(constant, residual, self.mean, value=0.5, out=odds)
        else:
            # Share of the rate that stays unexplained; in the memory of probabilities, computed further down.
            unexplained = self.open_
            torch.mul(residual, self.mean, out=unexplained).mul_(-0.5 / sets.rate[:, None]).add_(1.0)
            # It may be negative by rounding where a gate explains nearly everything.
            unexplained.clamp_(min=1e-12)
            self.variance.mul_(unexplained).mul_((sets.rate / (sets.degrees - 1.0))[:, None])
            torch.log(unexplained, out=odds).mul_(-sets.degrees).add_(constant)
        chain, _, place = held = _open_columns(sets)
        odds[chain, place] = -torch.inf  # nothing is known of these yet
        _held(odds).exp_().mul_(root)  # a product costs less than a logarithm
        torch.add(odds, 1.0, out=root)
        torch.div(odds, root, out=self.open_)
        odds.mul_(0.5 * (1.0 + self.floor)).add_(0.5 * self.floor)
        self._of_open(sets, prior, held, size, half_log)

    def _of_open(
        self,
        sets: ActiveSets,
        prior: InclusionPrior,
        held: tuple[Tensor, Tensor, Tensor],
        size: Tensor,
        half_log: Tensor,
    ) -> None:
        """Replace the entries of open gates, which are few, by the formulas for open gates."""
        chain, slot, place = held
        shape = sets.gates.shape
        others = _prior_odds(sets, prior, (size - 1.0).clamp_(min=0.0)).expand(shape)
        mean, variance = sets.mean[chain, slot], sets.inverse[chain, slot, slot]
        odds = others[chain, place] + half_log.expand(shape)[chain, place] + 0.5 * variance.log()
        quadratic = 0.5 * mean.square() / variance
        if sets.conjugate is not None:
            rate = sets.rate[chain]
            quadratic = (quadratic / rate).log1p() * sets.degrees
            variance = variance * rate / (sets.degrees - 1.0)
        against = (-(odds + quadratic)).clamp_(max=_LARGEST_ODDS).exp_()
        self.mean[chain, place] = mean
        self.variance[chain, place] = variance
        self.open_[chain, place] = 1.0 / (1.0 + against)
        self._odds[chain, place] = 0.5 * (self.floor + self.floor * against + 1.0)


def _prior_odds(sets: ActiveSets, prior: InclusionPrior, others: Tensor) -> Tensor:
    """Prior log odds of gates beside which so many others are open."""
    if not prior.counts_only:  # it matters which
        return prior.conditional_log_odds(sets.gates.double())
    return prior.log_odds_beside(others, sets.groups)


def _open_columns(sets: ActiveSets) -> tuple[Tensor, Tensor, Tensor]:
    """Chain, slot, and gate of every gated column that is active."""
    chain, slot, place = sets.active_entries
    if not sets.fixed:
        return chain, slot, place
    gated = place >= sets.fixed
    return chain[gated], slot[gated], place[gated] - sets.fixed


def _held(log_odds: Tensor) -> Tensor:
    """The same less what the largest of each chain has above :data:`_LARGEST_ODDS`, in place."""
    return log_odds.sub_((log_odds.amax(1, keepdim=True) - _LARGEST_ODDS).clamp_(min=0.0))
