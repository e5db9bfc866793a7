r"""Standardised units, and the way back to the user's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Scaling"]


@dataclass(frozen=True)
class Scaling:
    r"""Where columns and response are centred, and what they are divided by.

    Attributes:
        center: Of every column, shape ``(p,)``.
        scale: Of every column, shape ``(p,)``.
        response_center: Of the response.
        response_scale: Of the response.
    """

    center: Tensor
    scale: Tensor
    response_center: float = 0.0
    response_scale: float = 1.0

    @classmethod
    def none(cls, count: int) -> Scaling:
        """The user's own units.

        Args:
            count: Number of columns.
        """
        return cls(torch.zeros(count, dtype=torch.float64), torch.ones(count, dtype=torch.float64))

    @classmethod
    def of(cls, x: Tensor, weights: Tensor, *, centered: bool, y: Tensor | None = None) -> Scaling:
        """Means and standard deviations, weighted, with the total weight as the divisor.

        Args:
            x: Columns, shape ``(n, p)``.
            weights: Weights of the rows, shape ``(n,)``.
            centered: Whether there is an intercept to take up the means; otherwise nothing is centred.
            y: Response, if it is standardised too.
        """
        center, scale = _moments(x, weights)
        nothing = torch.zeros_like(center)
        if y is None:
            return cls(center if centered else nothing, scale)
        middle, spread = (float(value) for value in _moments(y, weights))
        # A response that never changes has no scale to divide by.
        if not spread > 1e-13 * abs(middle):
            spread = 1.0
        return cls(center if centered else nothing, scale, middle if centered else 0.0, spread)

    def columns(self, x: Tensor) -> Tensor:
        """Columns in standardised units.

        Args:
            x: Columns, shape ``(n, p)``.
        """
        return (x - self.center) / self.scale

    def response(self, y: Tensor) -> Tensor:
        """The response in standardised units.

        Args:
            y: Response, any shape.
        """
        return (y - self.response_center) / self.response_scale

    @property
    def slope(self) -> Tensor:
        """What a coefficient in standardised units is multiplied by, shape ``(p,)``."""
        return self.response_scale / self.scale

    def intercept(self, alpha: Tensor, beta: Tensor) -> Tensor:
        r"""The intercept on the user's scale.

        Args:
            alpha: Intercept in standardised units, shape ``(...)``.
            beta: Coefficients on the user's scale, shape ``(..., p)``.
        """
        return self.response_center + self.response_scale * alpha - beta @ self.center


def _moments(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    share = weights / weights.sum()
    # Near the largest value as the unit, squares are numbers however large or small values are; a power of
    # two leaves every digit as it is.
    largest = values.abs().amax(0)
    unit = torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent - 1)
    values = values / unit
    mean = share @ values
    return unit * mean, unit * (share @ (values - mean).square()).sqrt()
