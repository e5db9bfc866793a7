r"""Gate priors: the laws of a model's gates before data.

Both draw strictly binary gates, and both score a gate by whether it is shut or not, so that relaxed
gates are accepted. The KL from *any* gate law is registered here once, on the law's activity.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.distributions.utils import lazy_property
from torch.nn.functional import logsigmoid

from l0bayes.distributions.bernoulli import binary_support
from l0bayes.distributions.constraints import GateInterval, finite, open_unit_interval
from l0bayes.distributions.gate_law import GateLaw
from l0bayes.distributions.numerics import as_float, bernoulli_kl, logit

__all__ = ["Gate", "GatePrior", "L0Penalty"]


class GatePrior(TorchDistribution):
    """Base of the priors on binary gates; subclasses hold one tensor parameter."""

    parameter_name: str
    has_enumerate_support = True
    site_name: str | None = None

    @property
    def support(self) -> GateInterval:
        """The closed unit interval: relaxed gates are scored too."""
        return GateInterval(self.site_name)

    @property
    def inclusion_logits(self) -> Tensor:
        """Logit of the prior inclusion probability, batch shape."""
        raise NotImplementedError

    @property
    def inclusion_probability(self) -> Tensor:
        """Prior probability that a gate is open, batch shape."""
        return torch.sigmoid(self.inclusion_logits)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same prior with a larger batch shape, of its own type."""
        new: Self = self._get_checked_instance(type(self), _instance)
        new.parameter_name = self.parameter_name
        setattr(new, self.parameter_name, getattr(self, self.parameter_name).expand(batch_shape))
        new.site_name = self.site_name
        TorchDistribution.__init__(new, torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Binary draws with the prior inclusion probability."""
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            return torch.bernoulli(self.inclusion_probability.expand(shape))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The values 0 and 1, for Pyro's exact enumeration."""
        return binary_support(self.inclusion_logits, self.batch_shape, expand)

    @property
    def mean(self) -> Tensor:
        """Prior mean of the gate."""
        return self.inclusion_probability

    @property
    def variance(self) -> Tensor:
        """Prior variance of the gate."""
        return torch.sigmoid(self.inclusion_logits) * torch.sigmoid(-self.inclusion_logits)


class Gate(GatePrior):
    r"""Spike-and-slab prior on a gate: open with probability π.

    .. math:: \log p(z) = \log\pi \;[z \ne 0] + \log(1 - \pi)\;[z = 0]

    A value strictly between 0 and 1 is scored as open; its amplitude carries no prior of its own.
    The KL from a gate law q is the *activity KL*
    :math:`\mathrm{KL}(\mathrm{Bern}\,q(z \ne 0)\,\|\,\mathrm{Bern}\,\pi)`: exact for binary gates;
    for relaxed gates the bound of the model whose open amplitude follows the guide's own law, and
    a surrogate for the strict spike and slab (see "From the L0 objective to an ELBO").

    Args:
        inclusion: Prior inclusion probability, strictly between 0 and 1, any shape.
        log_odds: Its logit, instead of it; for probabilities too small to write down. (Not called
            ``logits``, which Pyro fills in by itself for discrete sites.)

    Raises:
        ValueError: If both or neither are given, or, with validation on, if ``inclusion`` is not
            strictly between 0 and 1 or ``log_odds`` not finite.
    """

    arg_constraints = {"inclusion": open_unit_interval, "log_odds": finite}

    def __init__(
        self,
        inclusion: Tensor | float | None = None,
        log_odds: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if (inclusion is None) == (log_odds is None):
            raise ValueError("give exactly one of inclusion and log_odds")
        self.parameter_name, given = (
            ("inclusion", inclusion) if inclusion is not None else ("log_odds", log_odds)
        )
        assert given is not None
        parameter = as_float(given)
        setattr(self, self.parameter_name, parameter)
        TorchDistribution.__init__(self, parameter.shape, validate_args=validate_args)

    @lazy_property
    def inclusion(self) -> Tensor:
        """Prior inclusion probability, batch shape."""
        return torch.sigmoid(self.log_odds)

    @lazy_property
    def log_odds(self) -> Tensor:
        """Logit of the prior inclusion probability, batch shape."""
        return logit(self.inclusion)

    @property
    def inclusion_logits(self) -> Tensor:
        return self.log_odds

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return torch.where(value > 0, logsigmoid(self.log_odds), logsigmoid(-self.log_odds))


class L0Penalty(GatePrior):
    r"""Penalty of λ nats for every open gate: the prior of the paper's L0 objective (Eq. 18).

    .. math:: \log p(z) = -\lambda\;[z \ne 0], \qquad
        \text{"KL"}(q\,\|\,p) = \lambda\,q(z \ne 0)

    In the paper's reading λ is the code cost of an open gate's slab, and the KL of the gate itself is
    dropped. Since a KL is not negative, the objective lies below the free energy: it is **not a bound**
    and its gate probabilities are not a posterior. Prior draws are those of
    ``Gate(sigmoid(-λ))``, the normalised form of the same density on {0, 1}.

    Args:
        penalty: λ in nats per gate, not negative, any shape.

    Raises:
        ValueError: With validation on, if ``penalty`` is negative.
    """

    arg_constraints = {"penalty": constraints.nonnegative}
    parameter_name = "penalty"

    def __init__(self, penalty: Tensor | float, validate_args: bool | None = None) -> None:
        self.penalty = as_float(penalty)
        TorchDistribution.__init__(self, self.penalty.shape, validate_args=validate_args)

    @property
    def inclusion_logits(self) -> Tensor:
        return -self.penalty

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return torch.where(value > 0, -self.penalty, 0.0)

    def as_gate(self) -> Gate:
        """``Gate(sigmoid(-penalty))``: the strict prior it corresponds to, normalised."""
        return Gate(log_odds=-self.penalty)


@register_kl(GateLaw, Gate)
def _activity_kl(q: GateLaw, p: Gate) -> Tensor:
    """Activity KL in nats per gate; see :class:`Gate`."""
    return bernoulli_kl(q.activity_logits, p.inclusion_logits)


@register_kl(GateLaw, L0Penalty)
def _expected_penalty(q: GateLaw, p: L0Penalty) -> Tensor:
    """Expected penalty in nats per gate; see :class:`L0Penalty`."""
    return p.penalty * q.prob_active
