r"""Binary gates that depend on one another, each on those before it."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.nn.functional import logsigmoid

from l0bayes.distributions.bernoulli import BernoulliGate
from l0bayes.distributions.constraints import finite
from l0bayes.distributions.joint_gates import JointGateLaw

__all__ = ["AutoregressiveGates"]

# Up to here marginals are sums over all values of the gates; beyond, means over draws.
_MOST_ENUMERATED = 12
_MOST_SUPPORT = 20
_ELEMENTS_DRAWN = 400_000


class AutoregressiveGates(JointGateLaw):
    r"""Binary gates of a site, each with a logit that is linear in the gates before it.

    .. math::
        q(z) = \prod_{j=1}^p \mathrm{Bern}\Bigl(z_j;\; \sigma\bigl(a_j + \sum_{k<j} W_{jk} z_k\bigr)\Bigr)

    With :math:`W = 0` the gates are independent. Of two columns that carry the same signal one suffices,
    :math:`W_{jk} \ll 0`; of two that are of use only together neither goes without the other,
    :math:`W_{jk} \gg 0`. The order of the gates is that of the site. A draw takes p steps, a density one
    matrix product.

    The fully visible sigmoid belief network (Frey 1998; as a variational law, Mnih and Gregor 2014).

    Args:
        logits: a, shape ``batch_shape + (p,)``.
        weights: W, shape ``(p, p)`` or with the same batch dimensions; entries on and above the diagonal
            are not used.
        event_shape: Shape of the gates, with p elements in the order of memory; default ``(p,)``.

    Raises:
        ValueError: If shapes do not match, or, with validation on, if a parameter is not finite.
    """

    arg_constraints = {"logits": finite, "weights": finite}

    def __init__(
        self,
        logits: Tensor,
        weights: Tensor,
        event_shape: torch.Size | tuple[int, ...] | None = None,
        validate_args: bool | None = None,
    ) -> None:
        count = logits.shape[-1] if logits.dim() else 0
        shape = torch.Size((count,)) if event_shape is None else torch.Size(event_shape)
        if count < 1 or weights.shape[-2:] != (count, count) or math.prod(shape) != count:
            raise ValueError(
                "logits of shape (..., p), weights of shape (..., p, p) and an event_shape of p gates belong "
                f"together; got {tuple(logits.shape)}, {tuple(weights.shape)} and {tuple(shape)}"
            )
        batch_shape = torch.broadcast_shapes(logits.shape[:-1], weights.shape[:-2])
        self.logits = logits.expand(*batch_shape, count)
        self.weights = weights
        self.has_enumerate_support = count <= _MOST_SUPPORT
        TorchDistribution.__init__(self, batch_shape, shape, validate_args=validate_args)

    @property
    def num_gates(self) -> int:
        """Number p of gates."""
        return self.logits.shape[-1]

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same law with a larger batch shape, of its own type."""
        batch_shape = torch.Size(batch_shape)
        new: Self = self._get_checked_instance(AutoregressiveGates, _instance)
        new.logits = self.logits.expand(*batch_shape, self.num_gates)
        new.weights = self.weights
        new.has_enumerate_support = self.has_enumerate_support
        new.site_name = self.site_name
        TorchDistribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _flat(self, value: Tensor) -> Tensor:
        return value.reshape(*value.shape[: value.dim() - self.event_dim], self.num_gates)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Draws without gradient, of shape ``sample_shape + batch_shape + event_shape``."""
        with torch.no_grad():
            shape = torch.Size(sample_shape) + self.batch_shape + (self.num_gates,)
            u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
            return self._push(u)[0].reshape(self._extended_shape(sample_shape))

    def _push(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Gates for uniform noise, and the logit that each was drawn with."""
        rest = self.logits
        gates, logits = [], []
        for j, uniform in enumerate(u.unbind(-1)):
            logit = rest[..., 0]
            gate = (uniform < torch.sigmoid(logit)).to(u.dtype)
            rest = rest[..., 1:] + gate[..., None] * self.weights[..., j + 1 :, j]
            gates.append(gate)
            logits.append(logit.expand(gate.shape))
        return torch.stack(gates, -1), torch.stack(logits, -1)

    def conditional_logits(self, value: Tensor) -> Tensor:
        r"""The logit :math:`a_j + \sum_{k<j} W_{jk} z_k` of every gate given those before it.

        Args:
            value: Gates, shape ``(..., *event_shape)``.

        Returns:
            Tensor of shape ``(..., p)``.
        """
        flat = self._flat(value)
        return self.logits + (self.weights.tril(-1) @ flat[..., None])[..., 0]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability; minus infinity where a gate is neither 0 nor 1."""
        if self._validate_args:
            self._validate_sample(value)
        logits, flat = self.conditional_logits(value), self._flat(value)
        result = torch.where(flat >= 1, logsigmoid(logits), logsigmoid(-logits))
        return torch.where((flat > 0) & (flat < 1), -torch.inf, result).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All :math:`2^p` values along a new leading dimension.

        Args:
            expand: Whether to expand them to the batch shape.

        Raises:
            NotImplementedError: If p is more than 20.
        """
        if not self.has_enumerate_support:
            raise NotImplementedError(
                f"the values of {self.num_gates} gates are too many to be listed; {_MOST_SUPPORT} can be"
            )
        count = self.num_gates
        index = torch.arange(2**count, device=self.logits.device)[:, None]
        values = (index >> torch.arange(count, device=self.logits.device) & 1).to(self.logits.dtype)
        values = values.reshape(-1, *(1 for _ in self.batch_shape), *self.event_shape)
        return values.expand(-1, *self.batch_shape, *self.event_shape) if expand else values

    def marginals(self) -> BernoulliGate:
        r"""The law of every gate by itself.

        Up to 12 gates it is the sum over all values. Beyond, :math:`E[\sigma(a_j + \sum_{k<j} W_{jk} z_k)]`
        is a mean over 500 to 4000 draws of the gates before it, always of the same noise, with a standard
        error of at most :math:`\tfrac12 / \sqrt{\text{draws}}` and less for gates that depend on few others.
        """
        if self.num_gates <= _MOST_ENUMERATED:
            values = self._flat(self.enumerate_support(expand=False))
            log_q = self.log_prob(self.enumerate_support())[..., None]
            is_open = values > 0.5
            open_ = torch.where(is_open, log_q, -torch.inf).logsumexp(0)
            shut = torch.where(is_open, -torch.inf, log_q).logsumexp(0)
            logits = open_ - shut
        else:
            draws = max(500, min(4000, _ELEMENTS_DRAWN // self.num_gates))
            shape = (draws, *self.batch_shape, self.num_gates)
            # Noise of its own, so that reading a guide disturbs no one's random numbers.
            u = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            _, conditional = self._push(u.to(self.logits).clamp(max=1.0 - 2.0**-24))
            logits = logsigmoid(conditional).logsumexp(0) - logsigmoid(-conditional).logsumexp(0)
        return BernoulliGate(logits.reshape(self.batch_shape + self.event_shape), validate_args=False)
