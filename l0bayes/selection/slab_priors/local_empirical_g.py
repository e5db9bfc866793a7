r"""A g for each model that makes the data most probable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from l0bayes.selection.slab_priors.slab_prior import GRule, SlabPrior, SlabSetting

__all__ = ["LocalEmpiricalG"]


@dataclass(frozen=True)
class LocalEmpiricalG(SlabPrior):
    r"""Local empirical Bayes: of each model the g at which its marginal likelihood is largest,

    .. math:: \hat g_\gamma = \max(F_\gamma - 1, 0), \qquad
        F_\gamma = \frac{R^2_\gamma / p}{(1 - R^2_\gamma)/(\nu - p)}.

    The data are used twice, so that no model has a Bayes factor below 1 against the one without columns.

    Source: Hansen and Yu 2001; Liang et al. 2008, equation 9.
    """

    name: ClassVar[str] = "eb-local"

    def rule(self, setting: SlabSetting, rank: Tensor, r2: Tensor) -> GRule:
        size = rank.to(r2).clamp(min=1.0)
        ratio = (r2 / size) / ((1.0 - r2).clamp(min=1e-300) / (setting.degrees - size).clamp(min=1e-300))
        return GRule((ratio - 1.0).clamp(min=0.0).log()[:, None], r2.new_zeros(1))

    def words(self, setting: SlabSetting) -> str:
        return "g = max(F − 1, 0) of each model (local empirical Bayes)"
