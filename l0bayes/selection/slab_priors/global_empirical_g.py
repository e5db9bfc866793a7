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
_PRECISION = 1e-8
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)


@dataclass(frozen=True)
class GlobalEmpiricalG(SlabPrior):
    r"""Global empirical Bayes: the g at which all models together make the data most probable,

    .. math:: \hat g = \arg\max_g \sum_\gamma p(\gamma)\,\mathrm{BF}_\gamma(g).

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
        def value(log_g: float) -> float:
            factors = log_bayes_factor(FixedG(math.exp(log_g)), setting, rank, r2)
            return float(torch.logsumexp(factors + log_prior, 0))

        count = round((_HIGHEST - _LOWEST) / _COARSE)
        grid = [_LOWEST + _COARSE * place for place in range(count + 1)]
        best = max(grid, key=value)
        low, high = best - _COARSE, best + _COARSE
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        at_left, at_right = value(left), value(right)
        while high - low > _PRECISION:
            if at_left >= at_right:
                high, right, at_right = right, left, at_left
                left = high - _GOLDEN * (high - low)
                at_left = value(left)
            else:
                low, left, at_left = left, right, at_right
                right = low + _GOLDEN * (high - low)
                at_right = value(right)
        return FixedG(math.exp(0.5 * (low + high)))
