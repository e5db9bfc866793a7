r"""Prior of an unknown noise variance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes import validate

__all__ = ["InverseGamma"]


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
        validate.positive(shape=self.shape, rate=self.rate)

    def log_density_of_log(self, log_variance: Tensor) -> Tensor:
        r"""Log density of :math:`t = \log\sigma^2`, with its Jacobian.

        Args:
            log_variance: t, any shape.
        """
        a, b = log_variance.new_tensor(self.shape), log_variance.new_tensor(self.rate)
        return a * torch.log(b) - torch.lgamma(a) - a * log_variance - b * torch.exp(-log_variance)
