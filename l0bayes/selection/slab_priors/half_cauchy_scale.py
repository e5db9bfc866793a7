r"""The half-Cauchy prior of a slab scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from l0bayes import validate
from l0bayes.selection.slab_priors.slab_scale_law import SlabScaleLaw

__all__ = ["HalfCauchyScale"]


@dataclass(frozen=True)
class HalfCauchyScale(SlabScaleLaw):
    r"""A scale that may be of any size, with its median at b,

    .. math:: p(s) = \frac{2}{\pi b}\Bigl(1 + \frac{s^2}{b^2}\Bigr)^{-1}.

    Source: Gelman 2006; Polson and Scott 2012.

    Args:
        scale: b, positive.

    Raises:
        ValueError: If it is not.
    """

    name: ClassVar[str] = "half-cauchy"

    scale: float = 1.0

    def __post_init__(self) -> None:
        validate.positive(scale=self.scale)

    def log_density_of_log(self, log_scale: Tensor) -> Tensor:
        u = log_scale - math.log(self.scale)
        return math.log(2.0 / math.pi) + u - softplus(2.0 * u, threshold=700.0)

    def tails(self, log_low: Tensor, log_high: Tensor) -> tuple[Tensor, Tensor]:
        # Above b e^u is what is below b e^-u.
        middle = math.log(self.scale)
        return self._below(log_low - middle), self._below(middle - log_high)

    @staticmethod
    def _below(u: Tensor) -> Tensor:
        return torch.log(2.0 / math.pi * torch.atan(u.exp()))

    def draw(self) -> Tensor:
        return self.scale * torch.tan(0.5 * math.pi * torch.rand((), dtype=torch.float64))

    @property
    def words(self) -> str:
        return f"s ~ half-Cauchy({self.scale:g})"
