r"""The hyper-g/n prior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from l0bayes.selection.slab_priors.continuous_g import ContinuousG
from l0bayes.selection.slab_priors.slab_prior import SlabSetting

__all__ = ["HyperGN"]

_A = 3.0


@dataclass(frozen=True)
class HyperGN(ContinuousG):
    r"""The hyper-g/n prior with a = 3, the hyper-g prior of g/n,

    .. math:: p(g) = \frac{a - 2}{2n}\,\Bigl(1 + \frac{g}{n}\Bigr)^{-a/2},

    which finds the model without columns, too, as rows grow many. Its Bayes factors have no closed form.

    Source: Liang et al. 2008, section 3.2.
    """

    name: ClassVar[str] = "hyper-g/n"

    def log_density(self, log_g: Tensor, setting: SlabSetting) -> Tensor:
        log_n = math.log(setting.rows)
        return math.log(0.5 * (_A - 2.0)) - log_n - 0.5 * _A * softplus(log_g - log_n, threshold=700.0)

    def words(self, setting: SlabSetting) -> str:
        return f"g/(n + g) ~ Beta(1, ½), n = {setting.rows:g} (hyper-g/n with a = 3)"
