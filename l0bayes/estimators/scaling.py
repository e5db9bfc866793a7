r"""Standardised units, and the way back to the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from l0bayes.selection.problem.level_block import LevelBlock

__all__ = ["Scaling"]


@dataclass(frozen=True)
class Scaling:
    r"""Where columns and response are centred, and what they are divided by.

    A column is divided by its standard deviation. Columns :math:`d_1, \dots, d_k` that stand for levels
    have one scale for all, by which a block of ``degrees`` r varies as much as r standardised columns do,

    .. math:: c^2 = \frac{1}{r} \sum_l \operatorname{Var}(d_l),

    so that nothing depends on the order of the levels, and a factor of two levels is the same as the column
    of its zeros and ones. A column that is constant has an infinite scale: it becomes zeros, and so does its
    coefficient on the user's scale.

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
    def of(
        cls,
        x: Tensor,
        weights: Tensor,
        *,
        centered: bool,
        y: Tensor | None = None,
        blocks: Sequence[LevelBlock] = (),
    ) -> Scaling:
        """Means and standard deviations, weighted, with the total weight as the divisor.

        Args:
            x: Columns, shape ``(n, p)``.
            weights: Weights of the rows, shape ``(n,)``.
            centered: Whether there is an intercept to take up the means; otherwise nothing is centred.
            y: Response, if it is standardised too.
            blocks: Columns that stand for levels.
        """
        center, scale = _moments(x, weights)
        for block in blocks:
            columns = list(block.columns)
            scale[columns] = scale[columns].norm() / block.degrees**0.5
        nothing = torch.zeros_like(center)
        if y is None:
            return cls(center if centered else nothing, scale)
        middle, spread = (float(value) for value in _moments(y, weights))
        # A response that never changes has no scale to divide by.
        if not spread > 1e-13 * abs(middle):
            middle, spread = float(y[0]), 1.0  # the mean may differ from it by rounding
        return cls(center if centered else nothing, scale, middle if centered else 0.0, spread)

    def without(self, constant: Tensor) -> Scaling:
        """The same with columns that are constant left out: they become zeros.

        Args:
            constant: Which are, shape ``(p,)``.
        """
        return replace(self, scale=torch.where(constant, torch.inf, self.scale))

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
