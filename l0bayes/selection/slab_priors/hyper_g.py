r"""The hyper-g prior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from l0bayes.selection.slab_priors.continuous_g import ContinuousG
from l0bayes.selection.slab_priors.slab_prior import SlabSetting

__all__ = ["HyperG"]

_A = 3.0


@dataclass(frozen=True)
class HyperG(ContinuousG):
    r"""The hyper-g prior with a = 3: g/(1+g) ~ Beta(1, a/2 - 1),

    .. math:: p(g) = \frac{a - 2}{2}\,(1 + g)^{-a/2}, \qquad
        \mathrm{BF}_\gamma = \frac{a - 2}{p + a - 2}\;
        {}_2F_1\!\Bigl(\frac{\nu}{2}, 1; \frac{a + p}{2}; R^2_\gamma\Bigr).

    The hypergeometric function is this integral, which is computed in log space: where R² is near 1 or there
    are many rows its series loses every digit. However well a model fits, its Bayes factor against the
    model without columns stays bounded as rows are few.

    Source: Liang et al. 2008, equations 14 to 17.
    """

    name: ClassVar[str] = "hyper-g"

    def log_density(self, log_g: Tensor, setting: SlabSetting) -> Tensor:
        return math.log(0.5 * (_A - 2.0)) - 0.5 * _A * softplus(log_g, threshold=700.0)

    def words(self, setting: SlabSetting) -> str:
        return "g/(1 + g) ~ Beta(1, ½) (hyper-g with a = 3)"
