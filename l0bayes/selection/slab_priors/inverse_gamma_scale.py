r"""The inverse gamma prior of a slab's variance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.selection.slab_priors.slab_scale_law import SlabScaleLaw

__all__ = ["InverseGammaScale"]


@dataclass(frozen=True)
class InverseGammaScale(SlabScaleLaw):
    r"""The conjugate prior of a variance,

    .. math:: s^2 \sim \mathrm{InverseGamma}(a, b),

    under which a single slab has Student's t of 2a degrees of freedom. It keeps s away from 0: slabs that are
    far smaller than :math:`\sqrt b` have no probability.

    Args:
        shape: a, positive.
        rate: b, positive.

    Raises:
        ValueError: If one of them is not.
    """

    name: ClassVar[str] = "inverse-gamma"

    shape: float = 2.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        validate.positive(shape=self.shape, rate=self.rate)

    def log_density_of_log(self, log_scale: Tensor) -> Tensor:
        a, b = self.shape, self.rate
        constant = math.log(2.0) + a * math.log(b) - math.lgamma(a)
        return constant - 2.0 * a * log_scale - b * torch.exp(-2.0 * log_scale)

    def tails(self, log_low: Tensor, log_high: Tensor) -> tuple[Tensor, Tensor]:
        shape = torch.full_like(log_low, self.shape)
        below = torch.special.gammaincc(shape, self.rate * torch.exp(-2.0 * log_low))
        above = torch.special.gammainc(shape, self.rate * torch.exp(-2.0 * log_high))
        return below.log(), above.log()

    def draw(self) -> Tensor:
        shape = torch.tensor(self.shape, dtype=torch.float64)
        return (self.rate / torch._standard_gamma(shape)).sqrt()

    @property
    def words(self) -> str:
        return f"s² ~ InverseGamma({self.shape:g}, {self.rate:g})"
