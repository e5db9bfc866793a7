r"""The interface of a law that holds all gates of a site at once."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from l0bayes.distributions.bernoulli import BernoulliGate
from l0bayes.distributions.constraints import GateInterval

__all__ = ["JointGateLaw"]


class JointGateLaw(TorchDistribution):
    r"""A law of binary gates that depend on one another; the gates of a site are its event.

    What reads single gates, tables, plots and counts, reads :meth:`marginals`. Draws carry no gradient, so
    that an objective has to take the score function; see :class:`~l0bayes.infer.ScoreELBO`.

    Attributes:
        activity_threshold: A gate counts as active above 0.
        has_atom_at_zero: Exact zeros are drawn.
        is_binary: All draws are 0 or 1.
    """

    activity_threshold: ClassVar[float] = 0.0
    has_atom_at_zero: ClassVar[bool] = True
    is_binary: ClassVar[bool] = True
    has_rsample = False
    site_name: str | None = None

    @property
    def support(self) -> Any:
        """Values in [0, 1], with the site's name for error messages."""
        inside = GateInterval(self.site_name)
        return constraints.independent(inside, self.event_dim) if self.event_dim else inside

    @abstractmethod
    def marginals(self) -> BernoulliGate:
        """The law of every gate by itself, of batch shape ``batch_shape + event_shape``."""

    @property
    def mean(self) -> Tensor:
        r""":math:`P(z = 1)` of every gate, of shape ``batch_shape + event_shape``."""
        return self.marginals().prob_active

    @property
    def variance(self) -> Tensor:
        """Variance of every gate, of the same shape."""
        return self.marginals().variance
