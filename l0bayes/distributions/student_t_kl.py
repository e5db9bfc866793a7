r"""KL divergence from the Normal, the guide's law of a slab, to a Student-t slab prior.

.. math:: \mathrm{KL} = -\tfrac12\log(2\pi e\,\sigma^2) - \log c_\nu + \log s
    + \tfrac{\nu + 1}{2}\,E\log\Bigl(1 + \frac{(x - m)^2}{\nu s^2}\Bigr)

with :math:`c_\nu = \Gamma(\frac{\nu + 1}{2}) / (\Gamma(\frac\nu2)\sqrt{\nu\pi})`. The expectation is taken by
the trapezoid rule, which for a function that is analytic in the strip :math:`|\mathrm{Im}\,t| < d` is off by
:math:`e^{-2\pi d/h}`; here :math:`d = \sqrt\nu s/\sigma`, so that a Normal no wider than the prior's scale is
integrated to rounding, and one four times as wide to about 1e-6. (Gauss-Hermite with as many nodes has them
half as far apart in the middle.) The KL to a Laplace prior is closed, and torch has it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal, StudentT, register_kl

__all__: list[str] = []

_STEP = 0.2
_REACH = 42  # nodes on each side, to 8.4 standard deviations


@register_kl(Normal, StudentT)
def _normal_student_t(q: Normal, p: StudentT) -> Tensor:
    df, scale = p.df, p.scale
    loc, width = torch.broadcast_tensors((q.loc - p.loc) / scale, q.scale / scale)
    nodes = _STEP * torch.arange(-_REACH, _REACH + 1, dtype=loc.dtype, device=loc.device)
    weights = _STEP / math.sqrt(2.0 * math.pi) * torch.exp(-0.5 * nodes.square())
    x = loc[..., None] + width[..., None] * nodes
    tail = (torch.log1p(x.square() / df[..., None]) * weights).sum(-1)
    normaliser = torch.lgamma(0.5 * (df + 1.0)) - torch.lgamma(0.5 * df) - 0.5 * torch.log(df * math.pi)
    entropy = 0.5 + 0.5 * math.log(2.0 * math.pi) + torch.log(width)
    return -entropy - normaliser + 0.5 * (df + 1.0) * tail
