"""A gate law a second time: what follows from its density by adaptive quadrature, in NumPy and SciPy."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from scipy.integrate import quad
from scipy.special import expit, xlogy

__all__ = ["GateLawReference", "bernoulli_kl", "integrate"]


def integrate(function: Callable[[float], float], low: float, high: float) -> float:
    """Integral by adaptive quadrature on pieces of about unit length.

    Args:
        function: The integrand.
        low: Lower end.
        high: Upper end; the integral is 0 where it is not above the lower one.
    """
    if not low < high:
        return 0.0
    edges = np.linspace(low, high, max(1, math.ceil(high - low)) + 1)
    parts = [quad(function, a, b, epsabs=1e-15, epsrel=1e-11)[0] for a, b in itertools.pairwise(edges)]
    return math.fsum(parts)


def bernoulli_kl(q: float, p: float) -> float:
    """KL between two Bernoulli laws, in nats.

    Args:
        q: Probability of a one under the first.
        p: Probability of a one under the second.
    """
    return float(xlogy(q, q / p) + xlogy(1.0 - q, (1.0 - q) / (1.0 - p)))


class GateLawReference(ABC):
    """A law with masses on the atoms and a density between.

    A subclass sets ``zero`` and ``one`` and defines the three abstract methods, from the formulas of its law.

    Attributes:
        zero: P(z = 0).
        one: P(z = 1).
        threshold: A gate is active above it.
    """

    zero: float
    one: float
    threshold = 0.0

    @abstractmethod
    def cdf(self, x: np.ndarray) -> np.ndarray:
        """P(z <= x).

        Args:
            x: Values strictly between 0 and 1.
        """

    @abstractmethod
    def log_density(self, logit: float) -> float:
        """Log density at z, given logit z, since near 1 the number z itself is too coarse.

        Args:
            logit: logit z.
        """

    @abstractmethod
    def expect_inside(self, function: Callable[[float], float]) -> float:
        """Integral of ``function(logit z)`` times the density over (0, 1).

        Args:
            function: A function of logit z.
        """

    @property
    def active(self) -> float:
        """P(z > threshold)."""
        return 1.0 - (float(self.cdf(np.array(self.threshold))) if self.threshold else self.zero)

    def mean(self) -> float:
        """E[z]."""
        return self.one + self.expect_inside(expit)

    def mean_given_active(self) -> float:
        """E[z | z > threshold] = threshold + the integral of P(z > x) over (threshold, 1) / P(active)."""

        def weighted(logit: float) -> float:
            z = expit(logit)
            return float((1.0 - self.cdf(z)) * z * expit(-logit))

        # Beyond 36 in logit z lies a length of 2e-16, and 1 - z rounds to 0.
        low = math.log(self.threshold / (1.0 - self.threshold)) if self.threshold else -36.0
        return self.threshold + integrate(weighted, low, 36.0) / self.active

    def variance(self) -> float:
        """Its variance, summed around the mean."""
        mean = self.mean()
        inside = self.expect_inside(lambda logit: (expit(logit) - mean) ** 2)
        return inside + self.zero * mean**2 + self.one * (1.0 - mean) ** 2

    def entropy(self) -> float:
        """Entropy in the mixed measure delta_0 + Lebesgue(0, 1) + delta_1, in nats."""
        atoms = xlogy(self.zero, self.zero) + xlogy(self.one, self.one)
        return float(-atoms - self.expect_inside(self.log_density))

    def kl(self, other: GateLawReference) -> float:
        """KL to another law in the same measure.

        Args:
            other: The other law.
        """

        def gain(logit: float) -> float:
            return self.log_density(logit) - other.log_density(logit)

        atoms = [(self.zero, other.zero), (self.one, other.one)]
        return sum(mine * math.log(mine / theirs) for mine, theirs in atoms if mine > 0) + self.expect_inside(
            gain
        )
