r"""The law of the open weights, under a law of several weights when some of them are shut.

A weight behind a shut gate leaves no trace in the likelihood, so that it can be integrated out of its prior.
For independent weights that is to leave out its factor. For a vector of dependent weights it is the marginal
of the others, which only laws that are registered here have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from pyro.distributions import LowRankMultivariateNormal, MultivariateNormal
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

__all__ = ["MARGINALS", "marginal_of_open", "register_marginal"]

OpenDensity = Callable[[Any, Tensor, Tensor], Tensor]

MARGINALS: dict[type, OpenDensity] = {}
"""Laws of dependent weights, with the log density of the open ones."""


def register_marginal(law: type) -> Callable[[OpenDensity], OpenDensity]:
    """Decorator: make a law of dependent weights known, so that it may be a slab.

    Args:
        law: The class of the law. What is decorated takes the law, values of the weights, and 1 where one is
            open and 0 where it is shut, and returns the log density of the open ones, the others integrated
            out.
    """

    def add(density: OpenDensity) -> OpenDensity:
        MARGINALS[law] = density
        return density

    return add


def marginal_of_open(law: TorchDistributionMixin) -> OpenDensity | None:
    """The log density of the open weights under a law of dependent ones; ``None`` where it is not known.

    Args:
        law: A law with an event shape of its own.
    """
    return next((MARGINALS[one] for one in type(law).__mro__ if one in MARGINALS), None)


@register_marginal(LowRankMultivariateNormal)
@register_marginal(MultivariateNormal)
def _open_normal(
    law: MultivariateNormal | LowRankMultivariateNormal, value: Tensor, is_open: Tensor
) -> Tensor:
    r""":math:`\log N(\theta_o;\, \mu_o,\, \Sigma_{oo})`, with rows of the identity where weights are shut."""
    kept = law.covariance_matrix * is_open[..., :, None] * is_open[..., None, :]
    # Not cholesky(), whose check would branch on values; a failure shows as NaN.
    root = torch.linalg.cholesky_ex(kept + torch.diag_embed(1.0 - is_open)).L
    away = ((value - law.loc) * is_open)[..., None]
    half = torch.linalg.solve_triangular(root, away, upper=False)[..., 0]
    log_det = 2.0 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    found: Tensor = -0.5 * (half.square().sum(-1) + log_det + math.log(2.0 * math.pi) * is_open.sum(-1))
    return found
