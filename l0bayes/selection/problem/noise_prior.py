r"""Prior of an unknown noise variance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.likelihoods.noise_priors import weak_noise_prior

__all__ = ["InverseGamma"]


@dataclass(frozen=True)
class InverseGamma:
    r"""Prior of a noise variance.

    .. math:: p(\sigma^2) = \frac{b^a}{\Gamma(a)}\,(\sigma^2)^{-a-1} e^{-b/\sigma^2}

    With a = b = 0 it is Jeffreys' prior, :math:`p(\sigma^2) \propto 1/\sigma^2`. It has no constant, and is
    counted as :math:`1/\sigma^2`: evidences of models that share it can be compared, and no others.

    Args:
        shape: a, positive; or 0 together with ``rate``.
        rate: b, positive; or 0 together with ``shape``.

    Raises:
        ValueError: If one of them is not positive, and not both are 0.
    """

    shape: float = 1.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not (self.shape == 0 and self.rate == 0):
            validate.positive(shape=self.shape, rate=self.rate)

    @classmethod
    def weak(cls, variance: float = 1.0) -> Self:
        """:func:`~l0bayes.likelihoods.noise_priors.weak_noise_prior` as a prior.

        Args:
            variance: Variance of the response as it is modelled.
        """
        return cls(*weak_noise_prior(variance))

    @classmethod
    def jeffreys(cls) -> Self:
        """Jeffreys' prior."""
        return cls(0.0, 0.0)

    @property
    def is_proper(self) -> bool:
        """Whether it integrates to 1."""
        return self.shape > 0

    @property
    def log_constant(self) -> float:
        r""":math:`a \log b - \log\Gamma(a)`; 0 for Jeffreys' prior."""
        return self.shape * math.log(self.rate) - math.lgamma(self.shape) if self.is_proper else 0.0

    @property
    def words(self) -> str:
        """What it is called in sentences."""
        return f"InverseGamma({self.shape:g}, {self.rate:g})" if self.is_proper else "Jeffreys' prior"

    def log_density_of_log(self, log_variance: Tensor) -> Tensor:
        r"""Log density of :math:`t = \log\sigma^2`, with its Jacobian.

        Args:
            log_variance: t, any shape.
        """
        return self.log_constant - self.shape * log_variance - self.rate * torch.exp(-log_variance)
