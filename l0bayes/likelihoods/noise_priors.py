r"""The weak prior of an unknown noise variance."""

from __future__ import annotations

__all__ = ["WEAK_OBSERVATIONS", "WEAK_SHARE", "weak_noise_prior"]

WEAK_OBSERVATIONS = 0.01
"""How many observations the weak prior counts as."""
WEAK_SHARE = 0.5
"""Share of the response's variance that it is centred at."""


def weak_noise_prior(variance: float = 1.0) -> tuple[float, float]:
    r"""Shape and rate of an inverse gamma prior of σ² that says next to nothing.

    .. math:: \sigma^2 \sim \mathrm{InverseGamma}\bigl(\tfrac12\nu_0, \tfrac12\nu_0 s_0^2\bigr), \qquad
        \nu_0 = 0.01, \quad s_0^2 = \tfrac12 \operatorname{Var}(y)

    It counts as :math:`\nu_0` observations with the variance :math:`s_0^2`, against the n of the data. With n
    rows it keeps σ above about :math:`\sqrt{\nu_0 s_0^2/n}`, which at n = 100 is 0.7 % of the response's
    standard deviation. For a response of variance 1 it is InverseGamma(0.005, 0.0025).

    Args:
        variance: Var(y), of the response as it is modelled.
    """
    return 0.5 * WEAK_OBSERVATIONS, 0.5 * WEAK_OBSERVATIONS * WEAK_SHARE * variance
