r"""Prior of the gates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["InclusionPrior"]


@dataclass(frozen=True)
class InclusionPrior:
    r"""Prior of the gates: independent with given odds, or exchangeable with π ~ Beta(a, b) integrated out.

    .. math:: p(\gamma) = \prod_g \pi_g^{\gamma_g} (1 - \pi_g)^{1 - \gamma_g}
        \qquad\text{or}\qquad
        p(\gamma) = \frac{B(a + |\gamma|,\; b + G - |\gamma|)}{B(a, b)}

    Args:
        log_odds: :math:`\operatorname{logit}\pi_g`, shape ``(G,)``; ``None`` under a Beta prior.
        beta: ``(a, b)``, both positive; ``None`` for given odds.

    Raises:
        ValueError: If both or neither are given, or a or b is not positive.
    """

    log_odds: Tensor | None = None
    beta: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if (self.log_odds is None) == (self.beta is None):
            raise ValueError("give exactly one of log_odds and beta")
        if self.beta is not None and not (self.beta[0] > 0 and self.beta[1] > 0):
            raise ValueError(f"beta must be a pair of positive numbers, got {self.beta!r}")

    def log_prob(self, gates: Tensor) -> Tensor:
        """Log prior probability.

        Args:
            gates: Zeros and ones, shape ``(..., G)``.
        """
        if self.log_odds is not None:
            odds = self.log_odds.to(gates)
            return gates @ odds + torch.nn.functional.logsigmoid(-odds).sum()
        a, b = self._beta(gates)
        size, total = gates.sum(-1), gates.shape[-1]
        joint = torch.lgamma(a + size) + torch.lgamma(b + total - size) - torch.lgamma(a + b + total)
        return joint - (torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b))

    def conditional_log_odds(self, gates: Tensor) -> Tensor:
        """Prior log odds of every gate given all the others.

        Args:
            gates: Zeros and ones, shape ``(..., G)``.

        Returns:
            Tensor broadcastable to ``gates``.
        """
        return self.log_odds_beside(gates.sum(-1, keepdim=True) - gates, gates.shape[-1])

    def log_odds_beside(self, others: Tensor, count: int) -> Tensor:
        """Prior log odds of every gate when so many of the others are open.

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
        if self.log_odds is not None:
            return torch.sigmoid(self.log_odds)
        assert self.beta is not None
        return torch.full((count,), self.beta[0] / sum(self.beta), dtype=torch.float64)

    def size_probabilities(self, count: int) -> Tensor:
        """Prior probabilities of the number of open gates, shape ``(count + 1,)``.

        Args:
            count: Number of gates.
        """
        if self.beta is None:
            sizes = torch.ones(1, dtype=torch.float64)
            for probability in self.inclusion(count).double():
                padded = torch.nn.functional.pad(sizes, (0, 1))
                sizes = padded * (1.0 - probability) + padded.roll(1) * probability
            return sizes
        k = torch.arange(count, dtype=torch.float64)
        a, b = self.beta
        # Ratios of neighbours; a quotient of gamma functions loses every digit where a or b is large.
        steps = (count - k).log() + (a + k).log() - (k + 1).log() - (b + count - 1 - k).log()
        return torch.nn.functional.pad(steps.cumsum(0), (1, 0)).softmax(0)

    def _beta(self, like: Tensor) -> tuple[Tensor, Tensor]:
        assert self.beta is not None
        return like.new_tensor(self.beta[0]), like.new_tensor(self.beta[1])
