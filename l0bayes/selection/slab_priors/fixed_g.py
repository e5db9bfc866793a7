r"""Zellner's g-prior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.selection.slab_priors.slab_prior import GRule, SlabPrior, SlabSetting

__all__ = ["FixedG"]


@dataclass(frozen=True)
class FixedG(SlabPrior):
    r"""A g that is known: Zellner's prior, under which

    .. math:: \mathrm{BF}_\gamma = (1 + g)^{(\nu - p)/2}\,\bigl[1 + g (1 - R^2_\gamma)\bigr]^{-\nu/2}.

    Sources: Zellner 1986; Kass and Wasserman 1995 for g = n, the prior that says as much as one row;
    Fernández, Ley and Steel 2001 for :math:`g = \max(n, p^2)` with p the number of all columns.

    Args:
        g: ``"unit"`` for n, ``"bric"`` for max(n, p²), or a positive number.

    Raises:
        ValueError: If it is none of these.
    """

    name: ClassVar[str] = "g"

    g: str | float = "unit"

    def __post_init__(self) -> None:
        if isinstance(self.g, str):
            validate.one_of(("unit", "bric"), g=self.g)
        else:
            validate.positive(g=self.g)

    def value(self, setting: SlabSetting) -> float:
        """The number.

        Args:
            setting: Numbers of rows and columns.
        """
        if isinstance(self.g, str):
            return float(setting.rows if self.g == "unit" else max(setting.rows, setting.columns**2))
        return float(self.g)

    def at(self, setting: SlabSetting) -> FixedG:
        return FixedG(self.value(setting))

    def rule(self, setting: SlabSetting, rank: Tensor, r2: Tensor) -> GRule:
        return GRule(r2.new_full((1,), math.log(self.value(setting))), r2.new_zeros(1))

    def prior_rule(self, setting: SlabSetting) -> GRule:
        nothing = torch.zeros(1, dtype=torch.float64)
        return self.rule(setting, nothing, nothing)

    def words(self, setting: SlabSetting) -> str:
        return f"g = {self.value(setting):.6g}"
