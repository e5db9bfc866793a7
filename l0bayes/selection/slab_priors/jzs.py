r"""The prior of Jeffreys, Zellner and Siow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from l0bayes import validate
from l0bayes.selection.slab_priors.continuous_g import ContinuousG
from l0bayes.selection.slab_priors.slab_prior import SlabSetting

__all__ = ["JZS", "MEDIUM"]

MEDIUM = math.sqrt(2.0) / 4.0
"""The scale that BayesFactor calls "medium" in regressions, :math:`\\sqrt2/4`."""


@dataclass(frozen=True)
class JZS(ContinuousG):
    r"""A multivariate Cauchy prior of :math:`\beta/\sigma`, with a scale r,

    .. math:: g \sim \mathrm{InverseGamma}\bigl(\tfrac12, \tfrac12 n r^2\bigr), \qquad
        p(g) = \frac{(n r^2/2)^{1/2}}{\Gamma(1/2)}\,g^{-3/2}\,e^{-n r^2/(2g)}.

    r = 1 is the prior of Zellner and Siow. Bayes factors are integrals over one number.

    Sources: Zellner and Siow 1980; Rouder and Morey 2012, "Default Bayes factors for model selection in
    regression".

    Args:
        rscale: r, a positive number.

    Raises:
        ValueError: If it is none.
    """

    name: ClassVar[str] = "jzs"

    rscale: float = MEDIUM

    def __post_init__(self) -> None:
        validate.positive(rscale=self.rscale)

    def log_density(self, log_g: Tensor, setting: SlabSetting) -> Tensor:
        log_rate = math.log(0.5 * setting.rows) + 2.0 * math.log(self.rscale)
        density: Tensor = 0.5 * log_rate - math.lgamma(0.5) - 1.5 * log_g
        return density - (log_rate - log_g).clamp(max=700.0).exp()

    def words(self, setting: SlabSetting) -> str:
        rate = 0.5 * setting.rows * self.rscale**2
        return f"g ~ InverseGamma(½, {rate:.6g}) (JZS with scale {self.rscale:.4g})"
