r"""Slabs: the law of a weight's size, whose KL is weighted by the activity of its gates."""

from __future__ import annotations

from typing import Any, Self

import torch
from pyro.distributions import Delta, Normal
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence, register_kl

from l0bayes.distributions.numerics import as_float
from l0bayes.distributions.slab_law import SlabLaw

__all__ = ["GatedSlab", "L2Penalty", "is_free"]


class GatedSlab(SlabLaw):
    r"""Variational law of a slab whose gate is open with probability ``activity``.

    It stands for the conditional family :math:`q(\theta \mid z \ne 0) = \text{base}`,
    :math:`q(\theta \mid z = 0) = p(\theta)`. The second is the optimal choice, since a weight
    behind a shut gate leaves no trace in the likelihood, and it makes the KL

    .. math:: P(z \ne 0)\;\mathrm{KL}(\text{base}\,\|\,p),

    so that a weight whose gate is shut costs nothing. Draws and densities are those of ``base``.

    Args:
        base: Elementwise law of the slab given an open gate (``Normal``, ``Delta``).
        activity: :math:`P(z \ne 0)` of the gate, or the product over several gates, broadcastable to
            the batch shape of ``base``.

    Raises:
        ValueError: If ``base`` has event dimensions, or ``activity`` does not broadcast to it.
    """

    arg_constraints = {"activity": constraints.unit_interval}

    def __init__(self, base: Distribution, activity: Tensor, validate_args: bool | None = None) -> None:
        if base.event_shape:
            raise ValueError(
                f"base must be an elementwise law, got one with event shape {tuple(base.event_shape)}"
            )
        try:
            self.activity = activity.expand(base.batch_shape)
        except RuntimeError as error:
            raise ValueError(
                f"activity of shape {tuple(activity.shape)} does not broadcast to the slab's shape "
                f"{tuple(base.batch_shape)}"
            ) from error
        self.base = base
        self.has_rsample = bool(base.has_rsample)
        TorchDistribution.__init__(self, base.batch_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """Support of the base."""
        return self.base.support

    @property
    def mean(self) -> Tensor:
        """Mean of the slab given that its gate is open."""
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        """Variance of the slab given that its gate is open."""
        return self.base.variance

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same law with a larger batch shape, of its own type."""
        new: Self = self._get_checked_instance(GatedSlab, _instance)
        new.base = self.base.expand(batch_shape)
        new.has_rsample = self.has_rsample
        new.activity = self.activity.expand(batch_shape)
        TorchDistribution.__init__(new, torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Differentiable draws from the base."""
        return self.base.rsample(sample_shape)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Draws from the base."""
        with torch.no_grad():
            return self.base.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the base, that is, given an open gate."""
        return self.base.log_prob(value)

    def log_prob_open(self, value: Tensor, is_open: Tensor) -> Tensor:
        return self.base.log_prob(value) * is_open

    def icdf(self, value: Tensor) -> Tensor:
        """Quantile of the base."""
        return self.base.icdf(value)


class L2Penalty(TorchDistribution):
    r"""Unnormalised slab prior :math:`\log p(\theta) = -\tfrac12\,\text{decay}\,\theta^2`.

    For a ``"delta"`` slab guide only: with ``decay=0`` the slab costs nothing and the whole code cost
    of a weight is the gate's λ, as in the paper. It has no normaliser and no draws.

    Attributes:
        is_flat: Whether ``decay`` was given as the number 0, so that there is nothing to compute.

    Args:
        decay: Weight decay in nats per squared unit of the weight, not negative.

    Raises:
        ValueError: With validation on, if ``decay`` is negative.
    """

    arg_constraints = {"decay": constraints.nonnegative}
    support = constraints.real

    def __init__(self, decay: Tensor | float = 0.0, validate_args: bool | None = None) -> None:
        self.is_flat = not isinstance(decay, Tensor) and decay == 0
        self.decay = as_float(decay)
        TorchDistribution.__init__(self, self.decay.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The mode, 0, where a guide may start."""
        return torch.zeros_like(self.decay)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same penalty with a larger batch shape, of its own type."""
        new: Self = self._get_checked_instance(L2Penalty, _instance)
        new.is_flat = self.is_flat
        new.decay = self.decay.expand(batch_shape)
        TorchDistribution.__init__(new, torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Not available.

        Raises:
            NotImplementedError: Always; a penalty is no distribution to draw from.
        """
        raise NotImplementedError(
            "L2Penalty is an unnormalised penalty and has no draws; give the slab a proper prior, "
            "such as Normal(0, 1), for prior predictive draws"
        )

    def log_prob(self, value: Tensor) -> Tensor:
        return -0.5 * self.decay * value.square()


@register_kl(GatedSlab, Distribution)
def _kl_gated_slab(q: GatedSlab, p: Distribution) -> Tensor:
    r""":math:`P(z \ne 0)\,\mathrm{KL}(\text{base}\,\|\,p)`, nats per weight.

    A ``Delta`` base has the code cost :math:`-\log p(\theta)` (its density at the point counted as 1).
    """
    if isinstance(q.base, Delta):
        if is_free(q.base, p):
            return q.activity.new_zeros(()).expand(q.batch_shape)
        return q.activity * -p.log_prob(q.base.v)
    if type(q.base) is Normal and type(p) is Normal:
        return q.activity * _kl_normal(q.base, p)
    return q.activity * kl_divergence(q.base, p)


def _kl_normal(q: Normal, p: Normal) -> Tensor:
    r""":math:`\log(\sigma_p/\sigma_q) + \frac{\sigma_q^2 + (\mu_q - \mu_p)^2}{2\sigma_p^2} - \frac12`.

    Torch takes the logarithm of the ratio's square, whose gradient goes through eight passes over the weights
    of a network where this one goes through five.
    """
    spread = (q.scale / p.scale).square() + ((q.loc - p.loc) / p.scale).square()
    return 0.5 * (spread - 1.0) - (q.scale.log() - p.scale.log())


def is_free(base: Distribution, p: Distribution) -> bool:
    """Whether a slab costs nothing wherever it is: a point under a flat prior.

    Args:
        base: Its law given an open gate.
        p: Its prior.
    """
    return isinstance(base, Delta) and isinstance(p, L2Penalty) and p.is_flat
