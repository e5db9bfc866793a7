r"""The interface every gate law implements.

A gate law is the distribution of :math:`z = \min(1, \max(0, t))`, where :math:`t` is a continuous
variable. Its measure is mixed: atoms at 0 and 1 and a density on (0, 1). A concrete law supplies the
distribution of :math:`t`; everything a gate law owes the rest of the library follows here.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.nn.functional import logsigmoid

from l0bayes.distributions.constraints import GateInterval
from l0bayes.distributions.numerics import bernoulli_entropy

__all__ = ["GateLaw", "atom_kl", "mixed_kl"]


class GateLaw(TorchDistribution):
    r"""A distribution on [0, 1] with possible atoms at the ends.

    All densities are with respect to :math:`\delta_0 + \mathrm{Lebesgue}(0,1) + \delta_1`.

    Subclasses set ``parameter_names``, call ``super().__init__`` with their batch shape and define

    * ``activity_logits``: :math:`\operatorname{logit} P(z \ne 0)`,
    * ``saturation_logits``: :math:`\operatorname{logit} P(z = 1)`,
    * ``unclipped_icdf``, ``log_density``, ``survival_logits`` and ``noise_free``,
    * ``quadrature``, or else ``mean``, ``variance`` and ``entropy``.

    Attributes:
        parameter_names: Constructor arguments that are tensors of the batch shape.
        setting_names: Constructor arguments that are not tensors.
        activity_threshold: A gate counts as active where it is above this value. It is 0 for laws
            with an atom at 0, so that activity is :math:`P(z \ne 0)`. A law without one must be
            thresholded to be deployed, and has a positive number here.
        is_binary: Whether all draws are 0 or 1. Only such a law may be without ``rsample``: an estimator
            then gives the gradient in its ``activity_logits``.
    """

    parameter_names: ClassVar[tuple[str, ...]]
    setting_names: ClassVar[tuple[str, ...]] = ()
    activity_threshold: ClassVar[float] = 0.0
    is_binary: ClassVar[bool] = False
    has_rsample = True
    site_name: str | None = None

    @property
    def support(self) -> GateInterval:
        """The closed unit interval, with the site's name for error messages."""
        return GateInterval(self.site_name)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same law with a larger batch shape; returns its own type, so that KLs are found."""
        batch_shape = torch.Size(batch_shape)
        new: Self = self._get_checked_instance(type(self), _instance)
        for name in self.parameter_names:
            setattr(new, name, getattr(self, name).expand(batch_shape))
        for name in self.setting_names:
            setattr(new, name, getattr(self, name))
        new.site_name = self.site_name
        TorchDistribution.__init__(new, batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    # ---- defined by each law -----------------------------------------------------------------------

    @property
    @abstractmethod
    def activity_logits(self) -> Tensor:
        r""":math:`\operatorname{logit} P(z > \text{activity\_threshold})`, batch shape."""

    @property
    @abstractmethod
    def saturation_logits(self) -> Tensor:
        r""":math:`\operatorname{logit} P(z = 1)`, batch shape; minus infinity without an atom."""

    @abstractmethod
    def unclipped_icdf(self, u: Tensor) -> Tensor:
        """Quantile function of the continuous variable that is clipped to [0, 1]."""

    @abstractmethod
    def log_density(self, z: Tensor) -> Tensor:
        """Log density on (0, 1); minus infinity where there is none."""

    @abstractmethod
    def survival_logits(self, x: Tensor) -> Tensor:
        r""":math:`\operatorname{logit} P(z > x)` for x in [0, 1)."""

    @property
    @abstractmethod
    def noise_free(self) -> Tensor:
        """The gate with its noise left out (Eq. 13 of the paper for the hard concrete)."""

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Nodes in (0, 1) and weights for integrals over the interior.

        Each is of shape ``(n,)``, or ``(n, *batch_shape)`` if every gate has nodes of its own, which then
        carry no gradient.

        Raises:
            NotImplementedError: If the law has no such rule and computes its moments otherwise.
        """
        raise NotImplementedError(f"{type(self).__name__} has no quadrature rule on (0, 1)")

    # ---- what follows ----------------------------------------------------------------------------

    @property
    def prob_active(self) -> Tensor:
        r""":math:`P(z > \text{activity\_threshold})`, batch shape."""
        return torch.sigmoid(self.activity_logits)

    @property
    def prob_one(self) -> Tensor:
        """:math:`P(z = 1)`, batch shape."""
        return torch.sigmoid(self.saturation_logits)

    @property
    def has_atom_at_zero(self) -> bool:
        """Whether exact zeros are drawn."""
        return self.activity_threshold == 0.0

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Differentiable draws of shape ``sample_shape + batch_shape``, with exact zeros and ones."""
        parameter = getattr(self, self.parameter_names[0])
        u = torch.rand(self._extended_shape(sample_shape), dtype=parameter.dtype, device=parameter.device)
        eps = torch.finfo(u.dtype).eps  # torch.rand draws multiples of eps / 2, 0 included and 1 not
        return self.unclipped_icdf(u.clamp(eps / 4, 1.0 - eps / 2)).clamp(0.0, 1.0)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Draws without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log of the mixed density: log mass at 0 and 1, log density between."""
        if self._validate_args:
            self._validate_sample(value)
        at_zero = logsigmoid(-self.activity_logits) if self.has_atom_at_zero else -torch.inf
        inside = torch.where((value > 0) & (value < 1), value, 0.5)  # keeps gradients finite at the ends
        result = torch.where(value <= 0, at_zero, self.log_density(inside))
        return torch.where(value >= 1, logsigmoid(self.saturation_logits), result)

    def cdf(self, value: Tensor) -> Tensor:
        r""":math:`P(z \le x)`, right-continuous, with jumps at 0 and 1."""
        inside = torch.where((value >= 0) & (value < 1), value, 0.5)
        result = torch.where(value >= 1, 1.0, torch.sigmoid(-self.survival_logits(inside)))
        return torch.where(value < 0, 0.0, result)

    def survival(self, x: Tensor) -> Tensor:
        """:math:`P(z > x)` for x in [0, 1), without the cancellation of ``1 - cdf(x)``."""
        return torch.sigmoid(self.survival_logits(x))

    def icdf(self, value: Tensor) -> Tensor:
        """Smallest x with ``cdf(x) >= value``."""
        return self.unclipped_icdf(value).clamp(0.0, 1.0)

    @property
    def median(self) -> Tensor:
        r"""The median gate: exactly 0 where :math:`P(z \ne 0) \le \tfrac12`."""
        half = torch.full_like(self.activity_logits, 0.5)
        return self.icdf(half)

    def _column_nodes(self) -> tuple[Tensor, Tensor]:
        """The quadrature rule with its nodes first, to broadcast against the batch."""
        nodes, weights = self.quadrature()
        if nodes.dim() > 1:
            return nodes, weights
        shape = (-1, *(1 for _ in self.batch_shape))
        return nodes.reshape(shape), weights.reshape(shape)

    @property
    def mean(self) -> Tensor:
        r""":math:`E[z] = \int_0^1 P(z > x)\,dx`, by quadrature; batch shape."""
        nodes, weights = self._column_nodes()
        return (weights * self.survival(nodes)).sum(0).clamp(max=1.0)

    @property
    def mean_given_active(self) -> Tensor:
        r""":math:`E[z \mid z > \text{activity\_threshold}]`, batch shape."""
        active = self.prob_active
        return (self.mean / active.clamp(min=torch.finfo(active.dtype).tiny)).clamp(max=1.0)

    @property
    def variance(self) -> Tensor:
        r"""Variance, batch shape: the atoms exactly, the interior by quadrature. It is summed around
        the mean, since :math:`E[z^2] - E[z]^2` cancels for a gate that is nearly decided."""
        nodes, weights = self._column_nodes()
        mean = self.mean
        interior = (weights * self.log_density(nodes).exp() * (nodes - mean).square()).sum(0)
        at_zero = torch.sigmoid(-self.activity_logits) * mean.square()
        return interior + at_zero + self.prob_one * (1.0 - mean).square()

    def entropy(self) -> Tensor:
        r"""Entropy in nats with respect to the mixed measure, batch shape.

        .. math:: -\sum_{a \in \{0,1\}} P(z=a)\log P(z=a) - \int_0^1 f(z)\log f(z)\,dz
        """
        nodes, weights = self._column_nodes()
        log_f = self.log_density(nodes)
        interior = (weights * log_f.exp() * log_f).sum(0)
        shut, open_ = -self.activity_logits, self.saturation_logits
        atoms = torch.sigmoid(shut) * logsigmoid(shut) + torch.sigmoid(open_) * logsigmoid(open_)
        return -(atoms + interior)

    def activity_entropy(self) -> Tensor:
        """Entropy of the event ``z != 0`` alone, in nats: how undecided the gate is."""
        return bernoulli_entropy(self.activity_logits)


def atom_kl(q: GateLaw, p: GateLaw) -> Tensor:
    r"""The atoms' part of the mixed-measure KL, :math:`\sum_{a \in \{0,1\}} q(a)\log(q(a)/p(a))`, in nats.

    Args:
        q: A law with atoms at 0 and 1.
        p: Another, of a batch shape broadcastable to that of ``q``.
    """
    q0, p0 = -q.activity_logits, -p.activity_logits
    q1, p1 = q.saturation_logits, p.saturation_logits
    shut = torch.sigmoid(q0) * (logsigmoid(q0) - logsigmoid(p0))
    return shut + torch.sigmoid(q1) * (logsigmoid(q1) - logsigmoid(p1))


def mixed_kl(q: GateLaw, p: GateLaw, nodes: Tensor, weights: Tensor) -> Tensor:
    r"""KL in the mixed measure, in nats: atoms exactly, the interior by quadrature.

    .. math::
        \sum_{a \in \{0,1\}} q(a)\log\frac{q(a)}{p(a)} + \int_0^1 q(z)\log\frac{q(z)}{p(z)}\,dz

    Args:
        q: A law with atoms at 0 and 1.
        p: Another, of a batch shape broadcastable to that of ``q``.
        nodes: Where both densities are taken, ``(n, ...)`` with the broadcast batch shape behind.
        weights: Of the same shape.
    """
    log_q = q.log_density(nodes)
    return atom_kl(q, p) + (weights * log_q.exp() * (log_q - p.log_density(nodes))).sum(0)
