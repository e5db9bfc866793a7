r"""Prior of the gates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from l0bayes.selection.problem.gate_restriction import GateRestriction
from l0bayes.selection.problem.restricted_sizes import RestrictedSizes, restricted_sizes

__all__ = ["BetaBlocks", "InclusionPrior"]


@dataclass(frozen=True)
class BetaBlocks:
    """Blocks of gates, each with an inclusion probability of its own.

    Args:
        index: The block of every gate, 0 to B - 1 all used, shape ``(G,)``.
        a: First parameter of each block's Beta prior, positive, shape ``(B,)``.
        b: Second one.
    """

    index: Tensor
    a: Tensor
    b: Tensor

    @property
    def counts(self) -> Tensor:
        """Number of gates of every block, shape ``(B,)``."""
        return torch.bincount(self.index, minlength=len(self.a)).double()

    def sizes(self, gates: Tensor) -> Tensor:
        """Number of open gates of every block.

        Args:
            gates: Zeros and ones, shape ``(..., G)``.

        Returns:
            Shape ``(..., B)``.
        """
        return gates.new_zeros(*gates.shape[:-1], len(self.a)).index_add(-1, self.index, gates)


@dataclass(frozen=True)
class InclusionPrior:
    r"""Prior of the gates: independent with given odds, or exchangeable with π ~ Beta(a, b) integrated out.

    Exchangeable are all of them, or those of a block; blocks are independent of one another.

    .. math:: p(\gamma) = \prod_g \pi_g^{\gamma_g} (1 - \pi_g)^{1 - \gamma_g}
        \qquad\text{or}\qquad
        p(\gamma) = \frac{B(a + |\gamma|,\; b + G - |\gamma|)}{B(a, b)}

    A restriction leaves some models without probability: then this is the law of the gates that are free,
    given that the restriction holds.

    Args:
        log_odds: :math:`\operatorname{logit}\pi_g`, shape ``(G,)``; ``None`` under a Beta prior.
        beta: ``(a, b)``, both positive; ``None`` otherwise.
        blocks: Blocks of gates with a Beta prior each, independent of one another; ``None`` otherwise.
        restriction: Gates that are always open, and gates that need others; ``None`` for none of either.

    Raises:
        ValueError: If not exactly one of the first three is given, a or b is not positive, or a restriction
            is given beside blocks.
    """

    log_odds: Tensor | None = None
    beta: tuple[float, float] | None = None
    blocks: BetaBlocks | None = None
    restriction: GateRestriction | None = None

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.log_odds, self.beta, self.blocks)) != 1:
            raise ValueError("give exactly one of log_odds, beta and blocks")
        if self.beta is not None and not (self.beta[0] > 0 and self.beta[1] > 0):
            raise ValueError(f"beta must be a pair of positive numbers, got {self.beta!r}")
        if self.restriction is not None and self.blocks is not None:
            raise ValueError("a restriction of the gates goes with log_odds or beta, not with blocks")

    def log_prob(self, gates: Tensor) -> Tensor:
        """Log prior probability; minus infinity where a restriction forbids the model.

        Args:
            gates: Zeros and ones, shape ``(..., G)``.
        """
        if self.restriction is None:
            return self._unrestricted(gates)
        free = gates[..., self.restriction.free]
        values = self._of_free_gates.log_prob(free) - self._census.log_total
        return torch.where(self.restriction.allows(gates), values, -torch.inf)

    def _unrestricted(self, gates: Tensor) -> Tensor:
        if self.log_odds is not None:
            odds = self.log_odds.to(gates)
            return gates @ odds + torch.nn.functional.logsigmoid(-odds).sum()
        if self.blocks is not None:
            a, b, counts = (one.to(gates) for one in (self.blocks.a, self.blocks.b, self.blocks.counts))
            return _log_beta_binomial(a, b, self.blocks.sizes(gates), counts).sum(-1)
        a, b = self._beta(gates)
        return _log_beta_binomial(a, b, gates.sum(-1), gates.new_tensor(float(gates.shape[-1])))

    def conditional_log_odds(self, gates: Tensor) -> Tensor:
        """Prior log odds of every gate given all the others.

        Args:
            gates: Zeros and ones, shape ``(..., G)``.

        Returns:
            Tensor broadcastable to ``gates``.
        """
        if self.blocks is not None:
            index = self.blocks.index
            a, b, counts = (
                one.to(gates)[index] for one in (self.blocks.a, self.blocks.b, self.blocks.counts)
            )
            others = self.blocks.sizes(gates)[..., index] - gates
            return torch.log(a + others) - torch.log(b + (counts - 1.0) - others)
        if self.restriction is None:
            return self.log_odds_beside(gates.sum(-1, keepdim=True) - gates, gates.shape[-1])
        free = self.restriction.free
        others = gates[..., free].sum(-1, keepdim=True) - gates
        odds = self.log_odds_beside(others, int(free.sum())).expand(gates.shape)
        # What cannot flip is certain to be as it is.
        return torch.where(
            self.restriction.movable(gates), odds, torch.where(gates > 0, torch.inf, -torch.inf)
        )

    @property
    def counts_only(self) -> bool:
        """Whether the odds of a gate depend on nothing but its own number and how many others are open."""
        return self.blocks is None and self.restriction is None

    def movable(self, gates: Tensor) -> Tensor | None:
        """Which gates of models can be flipped, shape ``(..., G)``; ``None`` where all can.

        Args:
            gates: Zeros and ones, shape ``(..., G)``.
        """
        return None if self.restriction is None else self.restriction.movable(gates.double())

    def log_odds_beside(self, others: Tensor, count: int) -> Tensor:
        """Prior log odds of every gate when so many of the others are open, by number alone.

        Args:
            others: Number of other gates that are open, shape ``(..., G)`` or ``(..., 1)``.
            count: Number of gates G.

        Returns:
            Tensor broadcastable to ``(..., G)``.
        """
        if self.log_odds is not None:
            return self.log_odds.to(others)
        a, b = self._beta(others)
        return torch.log(a + others) - torch.log(b + (count - 1.0) - others)

    def inclusion(self, count: int) -> Tensor:
        """Marginal prior inclusion probability of every gate, shape ``(count,)``.

        Args:
            count: Number of gates G.
        """
        if self.restriction is not None:
            return self._census.inclusion
        if self.log_odds is not None:
            return torch.sigmoid(self.log_odds)
        if self.blocks is not None:
            return (self.blocks.a / (self.blocks.a + self.blocks.b))[self.blocks.index].double()
        assert self.beta is not None
        return torch.full((count,), self.beta[0] / sum(self.beta), dtype=torch.float64)

    def size_probabilities(self, count: int) -> Tensor:
        """Prior probabilities of the number of open gates, shape ``(count + 1,)``.

        Args:
            count: Number of gates.
        """
        if self.restriction is not None:
            return self._census.sizes
        if self.blocks is not None:
            sizes = torch.ones(1, dtype=torch.float64)
            for a, b, number in zip(self.blocks.a, self.blocks.b, self.blocks.counts, strict=True):
                sizes = _convolved(sizes, _beta_binomial(float(a), float(b), int(number)))
            return sizes
        if self.beta is not None:
            return _beta_binomial(*self.beta, count)
        sizes = torch.ones(1, dtype=torch.float64)
        for probability in self.inclusion(count).double():
            padded = torch.nn.functional.pad(sizes, (0, 1))
            sizes = padded * (1.0 - probability) + padded.roll(1) * probability
        return sizes

    @cached_property
    def _of_free_gates(self) -> InclusionPrior:
        """The law of the gates that are not always open, before any of them needs others."""
        assert self.restriction is not None
        odds = None if self.log_odds is None else self.log_odds[self.restriction.free]
        return InclusionPrior(log_odds=odds, beta=self.beta)

    @cached_property
    def _census(self) -> RestrictedSizes:
        assert self.restriction is not None
        return restricted_sizes(self.restriction, self.log_odds, self.beta)

    def _beta(self, like: Tensor) -> tuple[Tensor, Tensor]:
        assert self.beta is not None
        return like.new_tensor(self.beta[0]), like.new_tensor(self.beta[1])


def _beta_binomial(a: float, b: float, count: int) -> Tensor:
    """Probabilities of every number of open gates, shape ``(count + 1,)``."""
    k = torch.arange(count, dtype=torch.float64)
    # Ratios of neighbours; a quotient of gamma functions loses every digit where a or b is large.
    steps = (count - k).log() + (a + k).log() - (k + 1).log() - (b + count - 1 - k).log()
    return torch.nn.functional.pad(steps.cumsum(0), (1, 0)).softmax(0)


def _log_beta_binomial(a: Tensor, b: Tensor, size: Tensor, count: Tensor) -> Tensor:
    """Log probability of gates of which so many are open, each of the same ones."""
    joint = torch.lgamma(a + size) + torch.lgamma(b + count - size) - torch.lgamma(a + b + count)
    return joint - (torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b))


def _convolved(one: Tensor, other: Tensor) -> Tensor:
    """The law of the sum of two numbers."""
    total = one.new_zeros(len(one) + len(other) - 1)
    for k, probability in enumerate(one):
        total[k : k + len(other)] += probability * other
    return total
