r"""A linear predictor with gates: data and priors, as the engines take them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

__all__ = ["InclusionPrior", "InverseGamma", "LinearProblem", "default_draws"]


@dataclass(frozen=True)
class InverseGamma:
    r"""Prior of a noise variance.

    .. math:: p(\sigma^2) = \frac{b^a}{\Gamma(a)}\,(\sigma^2)^{-a-1} e^{-b/\sigma^2}

    Args:
        shape: a, positive.
        rate: b, positive.

    Raises:
        ValueError: If one of them is not positive.
    """

    shape: float = 1.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        for name in ("shape", "rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}")

    def log_density_of_log(self, log_variance: Tensor) -> Tensor:
        r"""Log density of :math:`t = \log\sigma^2`, with its Jacobian.

        Args:
            log_variance: t, any shape.
        """
        a, b = log_variance.new_tensor(self.shape), log_variance.new_tensor(self.rate)
        return a * torch.log(b) - torch.lgamma(a) - a * log_variance - b * torch.exp(-log_variance)


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


@dataclass(frozen=True)
class LinearProblem:
    r"""Spike-and-slab regression as data.

    .. math::
        \eta = o + U\alpha + X\beta, \qquad \beta_j = \gamma_{g(j)}\,\theta_j, \qquad
        \theta_j \sim N(0, s_j^2)\;\;[\text{times } \sigma^2], \qquad \alpha_k \sim N(0, t_k^2)

    with :math:`y_i \sim N(\eta_i, \sigma^2/w_i)` for the Gaussian engines. All tensors are float64.

    Args:
        x: Columns that have a gate, shape ``(n, p)``.
        y: Response, shape ``(n,)``.
        prior: Prior of the gates.
        slab_scale: :math:`s_j`, shape ``(p,)``, positive.
        noise: σ, a positive number, or the prior of σ².
        slab_scaled_by_noise: Whether the slab's variance is in units of σ².
        groups: Group of every column, ``0 ... G-1``, shape ``(p,)``; by default each is its own.
        always: Columns U without a gate, such as an intercept's ones, shape ``(n, k)``.
        always_scale: :math:`t_k`, shape ``(k,)``; infinity for a flat prior, under which evidences lack
            a constant.
        offset: o, shape ``(n,)``.
        weights: Case weights w, positive, shape ``(n,)``.
        weights_are_counts: Whether a row of weight w stands for w rows like it, so that its likelihood is
            taken to the power of w; otherwise w multiplies the precision of its one response.

    Raises:
        ValueError: If shapes do not fit, a number is out of range or not finite.
    """

    x: Tensor
    y: Tensor
    prior: InclusionPrior
    slab_scale: Tensor
    noise: float | InverseGamma
    slab_scaled_by_noise: bool = False
    groups: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    always: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    always_scale: Tensor = field(default_factory=lambda: torch.empty(0))
    offset: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    weights_are_counts: bool = False

    def __post_init__(self) -> None:
        n, p = self.x.shape
        if n < 1 or p < 1:
            raise ValueError(f"x must have at least one row and one column, got shape {tuple(self.x.shape)}")
        defaults = {
            "groups": torch.arange(p),
            "always": torch.empty(n, 0, dtype=torch.float64),
            "always_scale": torch.empty(0, dtype=torch.float64),
            "offset": torch.zeros(n, dtype=torch.float64),
            "weights": torch.ones(n, dtype=torch.float64),
        }
        for name, value in defaults.items():
            if not getattr(self, name).numel() and value.shape != getattr(self, name).shape:
                object.__setattr__(self, name, value)
        for name in ("x", "y", "slab_scale", "always", "always_scale", "offset", "weights"):
            object.__setattr__(self, name, getattr(self, name).to(torch.float64))
        k = self.always.shape[-1]
        wanted = {
            "y": (n,), "slab_scale": (p,), "groups": (p,), "always": (n, k), "always_scale": (k,),
            "offset": (n,), "weights": (n,),
        }  # fmt: skip
        for name, shape in wanted.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"{name} must have shape {shape}, got {tuple(getattr(self, name).shape)}")
        for name in ("x", "y", "slab_scale", "always", "offset", "weights"):
            if not torch.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} must be finite")
        for name in ("slab_scale", "always_scale", "weights"):
            if not (getattr(self, name) > 0).all():
                raise ValueError(f"{name} must be positive")
        if isinstance(self.noise, float | int) and not self.noise > 0:
            raise ValueError(f"noise must be positive, got {self.noise!r}")
        if sorted(set(self.groups.tolist())) != list(range(self.num_groups)):
            raise ValueError("groups must number the groups 0, 1, ... without gaps")
        odds = self.prior.log_odds
        if odds is not None and odds.shape != (self.num_groups,):
            raise ValueError(
                f"log_odds must have one entry for each of {self.num_groups} groups, got {tuple(odds.shape)}"
            )

    @property
    def num_rows(self) -> int:
        """Number of rows n."""
        return len(self.y)

    @property
    def num_observations(self) -> float:
        """Number of responses: n, or the sum of weights that are counts."""
        return float(self.weights.sum()) if self.weights_are_counts else float(self.num_rows)

    @property
    def num_columns(self) -> int:
        """Number of gated columns p."""
        return self.x.shape[1]

    @property
    def num_groups(self) -> int:
        """G, the number of gates."""
        return int(self.groups.max()) + 1

    @property
    def group_columns(self) -> list[list[int]]:
        """The columns of every group."""
        members: list[list[int]] = [[] for _ in range(self.num_groups)]
        for column, group in enumerate(self.groups.tolist()):
            members[group].append(column)
        return members

    def replace(self, **changes: Any) -> Self:
        """The same problem with other values.

        Args:
            **changes: Values by name.
        """
        return replace(self, **changes)


def default_draws(problem: LinearProblem) -> int:
    """Size of a sample of models: 4000, and down to 1000 where there are many columns.

    Args:
        problem: The problem.
    """
    return max(1000, min(4000, 1_000_000 // problem.num_columns))
