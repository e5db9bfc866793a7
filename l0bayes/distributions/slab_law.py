r"""The interface of a guide's law of slabs under which a weight behind a shut gate follows its prior."""

from __future__ import annotations

from abc import abstractmethod

from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

__all__ = ["SlabLaw"]


class SlabLaw(TorchDistribution):
    r"""A law of slabs with :math:`q(\theta_j \mid z_j = 0) = p(\theta_j)` for each shut weight.

    A shut weight costs nothing under it and drops out of every ratio of densities, which is what
    :meth:`log_prob_open` is for.
    """

    @abstractmethod
    def log_prob_open(self, value: Tensor, is_open: Tensor) -> Tensor:
        """Log density of the open weights alone, batch shape.

        Args:
            value: Weights.
            is_open: 1 where a weight is open and 0 where it is shut, of the same shape.
        """
