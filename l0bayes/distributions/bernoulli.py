r"""Binary gates: the law of a hardened guide."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import register_kl
from torch.nn.functional import logsigmoid

from l0bayes.distributions.constraints import finite
from l0bayes.distributions.gate_law import GateLaw, atom_kl
from l0bayes.distributions.numerics import as_float, bernoulli_kl, binary_draws

__all__ = ["BernoulliGate"]


class BernoulliGate(GateLaw):
    r"""Gate that is exactly 0 or 1, :math:`P(z = 1) = \sigma(\ell)`.

    All its mass is on the atoms; the density between them is zero. Draws carry no gradient.

    Args:
        logits: Logit of the probability of being open, any shape.

    Raises:
        ValueError: With validation on, if ``logits`` is not finite.
    """

    arg_constraints = {"logits": finite}
    parameter_names = ("logits",)
    is_binary = True
    has_rsample = False
    has_enumerate_support = True

    def __init__(self, logits: Tensor | float, validate_args: bool | None = None) -> None:
        self.logits = as_float(logits)
        TorchDistribution.__init__(self, self.logits.shape, validate_args=validate_args)

    @property
    def activity_logits(self) -> Tensor:
        return self.logits

    @property
    def saturation_logits(self) -> Tensor:
        return self.logits

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Not available: a binary draw has no derivative.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("BernoulliGate has no reparameterised draws; use sample()")

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return binary_draws(self.prob_active.expand(self._extended_shape(sample_shape)))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The values 0 and 1, for Pyro's exact enumeration."""
        return binary_support(self.logits, self.batch_shape, expand)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        result = torch.where(value >= 1, logsigmoid(self.logits), logsigmoid(-self.logits))
        return torch.where((value > 0) & (value < 1), -torch.inf, result)

    def unclipped_icdf(self, u: Tensor) -> Tensor:
        return (u > torch.sigmoid(-self.logits)).to(self.logits.dtype)

    def survival_logits(self, x: Tensor) -> Tensor:
        return self.logits.expand(torch.broadcast_shapes(x.shape, self.batch_shape))

    def log_density(self, z: Tensor) -> Tensor:
        return torch.full(torch.broadcast_shapes(z.shape, self.batch_shape), -torch.inf).to(self.logits)

    @property
    def noise_free(self) -> Tensor:
        """The more probable value."""
        return (self.logits > 0).to(self.logits.dtype)

    @property
    def mean(self) -> Tensor:
        return self.prob_active

    @property
    def variance(self) -> Tensor:
        return torch.sigmoid(self.logits) * torch.sigmoid(-self.logits)

    def entropy(self) -> Tensor:
        return self.activity_entropy()

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Empty: there is no interior."""
        empty = self.logits.new_zeros(0)
        return empty, empty


def binary_support(like: Tensor, batch_shape: torch.Size, expand: bool) -> Tensor:
    """The values 0 and 1 along a new leading dimension, as ``enumerate_support`` wants them."""
    values = torch.tensor([0.0, 1.0], dtype=like.dtype, device=like.device)
    values = values.reshape((2, *(1 for _ in batch_shape)))
    return values.expand((2, *batch_shape)) if expand else values


@register_kl(BernoulliGate, BernoulliGate)
def _kl_bernoulli(q: BernoulliGate, p: BernoulliGate) -> Tensor:
    return bernoulli_kl(q.logits, p.logits)


@register_kl(BernoulliGate, GateLaw)
def _kl_bernoulli_mixed(q: BernoulliGate, p: GateLaw) -> Tensor:
    """KL to any law with atoms at 0 and 1: q has nothing else, so it is the atoms' part alone; finite
    because p charges every set that q does.

    Raises:
        NotImplementedError: If p has no atoms. The KL is infinite, and not offered as a number.
    """
    if not p.has_atom_at_zero:
        raise NotImplementedError(
            f"no KL from {type(q).__name__} to {type(p).__name__}, which has no atoms: it is infinite"
        )
    return atom_kl(q, p)
