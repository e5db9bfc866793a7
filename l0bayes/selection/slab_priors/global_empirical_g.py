r"""One g for all models that makes the data most probable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from l0bayes.selection.slab_priors.fixed_g import FixedG
from l0bayes.selection.slab_priors.slab_prior import GRule, SlabPrior, SlabSetting, log_bayes_factor

__all__ = ["GlobalEmpiricalG"]

_LOWEST, _HIGHEST, _COARSE = -10.0, 40.0, 1.0


@dataclass(frozen=True)
class GlobalEmpiricalG(SlabPrior):
    r"""Global empirical Bayes: the g at which all models together make the data most probable,

    .. math:: \hat g = \arg\max_g \sum_\gamma p(\gamma)\,\mathrm{BF}_\gamma(g), \qquad
        \frac{\partial \log \mathrm{BF}_\gamma}{\partial \log g} =
        \tfrac{\nu - p}{2}\,\frac{g}{1 + g} - \tfrac{\nu}{2}\,\frac{g (1 - R^2)}{1 + g (1 - R^2)}.

    Source: George and Foster 2000; Liang et al. 2008, section 2.4.
    """

    name: ClassVar[str] = "eb-global"
    needs_all_models: ClassVar[bool] = True

    def rule(self, setting: SlabSetting, rank: Tensor, r2: Tensor) -> GRule:
        raise ValueError("the g of 'eb-global' is not known before all models are")

    def words(self, setting: SlabSetting) -> str:
        return (
            "g: the one under which all models together make the data most probable (global empirical Bayes)"
        )

    def settled(self, setting: SlabSetting, rank: Tensor, r2: Tensor, log_prior: Tensor) -> SlabPrior:
        unexplained, size = torch.log1p(-r2.clamp(0.0, 1.0)), rank.to(r2)

        def factors(log_g: float) -> Tensor:
            return log_bayes_factor(FixedG(math.exp(log_g)), setting, rank, r2) + log_prior

        def slope(log_g: float) -> float:
            """Of the log probability of the data, over log g."""
            at = r2.new_tensor(log_g)
            gain = 0.5 * (setting.degrees - size) * torch.sigmoid(at)
            loss = 0.5 * setting.degrees * torch.sigmoid(at + unexplained)
            return float(torch.softmax(factors(log_g), 0) @ torch.where(rank > 0, gain - loss, 0.0))

        count = round((_HIGHEST - _LOWEST) / _COARSE)
        grid = [_LOWEST + _COARSE * place for place in range(count + 1)]
        best = max(grid, key=lambda log_g: float(torch.logsumexp(factors(log_g), 0)))
        # The slope says where the top is to nearly all digits; values, which are flat there, to half of them.
        low, high = best - _COARSE, best + _COARSE
        while low < (middle := 0.5 * (low + high)) < high:
            low, high = (middle, high) if slope(middle) > 0.0 else (low, middle)
        return FixedG(math.exp(0.5 * (low + high)))
