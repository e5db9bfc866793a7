r"""The stretch (γ, ζ) of the stretched and clipped laws, and a quadrature rule on their interior."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l0bayes.distributions.numerics import gauss_legendre

__all__ = ["checked_stretch", "interior_rule", "logit_of_one", "logit_of_zero"]


def checked_stretch(stretch: tuple[float, float]) -> tuple[float, float]:
    """The stretch as floats.

    Args:
        stretch: ``(gamma, zeta)``.

    Raises:
        ValueError: If it does not contain [0, 1] in its interior.
    """
    gamma, zeta = stretch
    if not (gamma < 0.0 and zeta > 1.0):
        raise ValueError(f"stretch must be a pair (gamma, zeta) with gamma < 0 and zeta > 1, got {stretch!r}")
    return float(gamma), float(zeta)


def logit_of_zero(stretch: tuple[float, float]) -> float:
    """Logit of the unstretched value that is stretched to 0; negative.

    Args:
        stretch: ``(gamma, zeta)``.
    """
    gamma, zeta = stretch
    return math.log(-gamma / zeta)


def logit_of_one(stretch: tuple[float, float]) -> float:
    """Logit of the unstretched value that is stretched to 1; positive.

    Args:
        stretch: ``(gamma, zeta)``.
    """
    gamma, zeta = stretch
    return math.log((1.0 - gamma) / (zeta - 1.0))


def interior_rule(like: Tensor, stretch: tuple[float, float], nodes_per_unit: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights on (0, 1), Gauss-Legendre in the logit of the unstretched variable.

    Args:
        like: Gives dtype and device.
        stretch: ``(gamma, zeta)``; a narrower one has a wider interior in logit space.
        nodes_per_unit: Nodes per unit of logit space.
    """
    gamma, zeta = stretch
    low, high = logit_of_zero(stretch), logit_of_one(stretch)
    y, weights = gauss_legendre(like, low, high, math.ceil(nodes_per_unit * (high - low)))
    s = torch.sigmoid(y)
    return s * (zeta - gamma) + gamma, weights * (zeta - gamma) * s * torch.sigmoid(-y)
