r"""Columns that stand for the levels of factors, treated all alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

__all__ = ["LevelBlock", "hidden_shares", "level_effects"]


@dataclass(frozen=True)
class LevelBlock:
    r"""Columns of one gate, one for each level of a factor or each combination of levels of several.

    All have one scale and slabs of one variance :math:`\tau^2`, so that the prior is the same whatever the
    levels are called and in whatever order they come: it is exchangeable. Where columns sum to zero over the
    levels of a factor, a *contrast*, adding a number to all effects changes nothing, and what enters the
    predictor are the effects less their mean,

    .. math:: e = P\theta, \qquad \theta \sim N(0, \tau^2 I), \qquad
        e \sim N(0, \tau^2 P), \qquad P = \bigotimes_f P_f, \qquad
        P_f = I - \tfrac{1}{L_f} 1 1' \;\text{ for a contrast, else } I.

    This is the law of an orthonormal coding Q with :math:`QQ' = P`: effects :math:`Q\vartheta` of
    independent :math:`\vartheta \sim N(0, \tau^2)`, as many as ``degrees``.

    Attributes:
        columns: Numbers of the columns; the levels of the last factor vary fastest.
        sizes: Number of levels :math:`L_f` of each factor.
        contrasts: For each factor, whether columns sum to zero over its levels.
    """

    columns: tuple[int, ...]
    sizes: tuple[int, ...]
    contrasts: tuple[bool, ...]

    @property
    def degrees(self) -> int:
        """How many independent differences there are: the rank of P."""
        pairs = zip(self.sizes, self.contrasts, strict=True)
        return math.prod(size - contrast for size, contrast in pairs)

    @property
    def hidden_share(self) -> float:
        """Share of a slab's variance that no response shows: the diagonal of :math:`I - P`."""
        return 1.0 - self.degrees / len(self.columns)

    def effects(self, values: Tensor) -> Tensor:
        """P times coefficients of the block's columns.

        Args:
            values: Shape ``(..., len(columns))``.
        """
        shaped = values.reshape(*values.shape[:-1], *self.sizes)
        for axis, contrast in zip(range(-len(self.sizes), 0), self.contrasts, strict=True):
            if contrast:
                shaped = shaped - shaped.mean(axis, keepdim=True)
        return shaped.reshape(values.shape)


def level_effects(values: Tensor, blocks: Sequence[LevelBlock]) -> Tensor:
    """Coefficients with the effects of levels in place of those of their columns.

    Args:
        values: Coefficients of all columns, shape ``(..., p)``.
        blocks: Which of them stand for levels.
    """
    if not blocks:
        return values
    values = values.clone()
    for block in blocks:
        columns = list(block.columns)
        values[..., columns] = block.effects(values[..., columns])
    return values


def hidden_shares(like: Tensor, blocks: Sequence[LevelBlock]) -> Tensor:
    """Share of each slab's variance that no response shows, of the shape of a row of coefficients.

    Args:
        like: Something of shape ``(p,)``.
        blocks: Which columns stand for levels.
    """
    shares = like.new_zeros(like.shape)
    for block in blocks:
        shares[list(block.columns)] = block.hidden_share
    return shares
