r"""The argument ``noise_prior``, as it is given and as the engines take it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from l0bayes import validate
from l0bayes.selection.problem.noise_prior import InverseGamma

__all__ = ["NOISE_PRIORS", "check_noise", "noise_prior"]

NOISE_PRIORS = ("weak", "jeffreys")


def check_noise(scale: Any, prior: Any) -> None:
    """Refuse what is no noise, or two of them.

    Args:
        scale: The argument ``noise_scale``.
        prior: The argument ``noise_prior``.

    Raises:
        ValueError: If the prior is none, or both are given.
    """
    if isinstance(prior, str) or not isinstance(prior, Sequence):
        validate.one_of(NOISE_PRIORS, " or a pair (shape, rate)", noise_prior=prior)
    else:
        validate.positive_pair(noise_prior=tuple(prior))
    if scale is not None and prior != "weak":
        raise ValueError(
            f"give noise_scale or noise_prior, not both: a known noise has no prior; got {scale!r} and "
            f"{prior!r}"
        )


def noise_prior(prior: Any, y: Tensor, weights: Tensor, *, centred: bool) -> InverseGamma:
    """The prior of the noise variance, in units of the response as it is modelled.

    Args:
        prior: The argument ``noise_prior``.
        y: That response, shape ``(n,)``.
        weights: How many rows each row stands for, shape ``(n,)``.
        centred: Whether there is an intercept, so that the response varies about its mean, not about 0.
    """
    if prior == "jeffreys":
        return InverseGamma.jeffreys()
    if prior != "weak":
        return InverseGamma(*(float(part) for part in prior))
    share = weights / weights.sum()
    variance = float(share @ (y - (share @ y if centred else 0.0)).square())
    # A response that never changes has no scale; its mean may differ from it by rounding.
    rounding = 1e-26 * float(y.square().max())
    return InverseGamma.weak(variance if variance > rounding else 1.0)
