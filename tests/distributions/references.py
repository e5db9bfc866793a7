"""Gate laws a second time, in NumPy and SciPy, straight from the formulas; nothing here imports l0bayes.

Every law is the image of a standard variable: logistic for the concrete laws, with expectations as
integrals over L with the weight sigma'(L), Normal for the rectified one, and the logarithm of an
exponential for the Kumaraswamy. All are taken by adaptive quadrature on short pieces.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from scipy.integrate import quad
from scipy.special import expit, log_expit, ndtr, xlogy

# sigma'(L) is below 1e-26 beyond; what is cut off is far below every tolerance.
REACH = 60.0


def integrate(function: Callable[[float], float], low: float, high: float) -> float:
    """Integral over [low, high] by adaptive quadrature on pieces of about unit length."""
    if not low < high:
        return 0.0
    edges = np.linspace(low, high, max(1, math.ceil(high - low)) + 1)
    parts = [quad(function, a, b, epsabs=1e-15, epsrel=1e-11)[0] for a, b in itertools.pairwise(edges)]
    return math.fsum(parts)


def bernoulli_kl(q: float, p: float) -> float:
    return float(xlogy(q, q / p) + xlogy(1.0 - q, (1.0 - q) / (1.0 - p)))


class Reference(ABC):
    """A law with masses ``zero`` and ``one`` on the atoms and a density between."""

    zero: float
    one: float
    threshold = 0.0

    @abstractmethod
    def cdf(self, x: np.ndarray) -> np.ndarray:
        """P(z <= x) for 0 < x < 1."""

    @abstractmethod
    def log_density(self, logit: float) -> float:
        """Log density at z, given logit z, since near 1 the number z itself does not tell it."""

    @abstractmethod
    def expect_inside(self, function: Callable[[float], float]) -> float:
        """Integral of ``function(logit z)`` times the density over (0, 1)."""

    @property
    def active(self) -> float:
        return 1.0 - (float(self.cdf(np.array(self.threshold))) if self.threshold else self.zero)

    def mean(self) -> float:
        return self.one + self.expect_inside(expit)

    def mean_given_active(self) -> float:
        """E[z | z > threshold] = threshold + the integral of P(z > x) over (threshold, 1) / P(active)."""

        def weighted(logit: float) -> float:
            z = expit(logit)
            return (1.0 - self.cdf(z)) * z * expit(-logit)

        # Beyond 36 in logit z lies a length of 2e-16, and 1 - z is no longer told from 0.
        low = math.log(self.threshold / (1.0 - self.threshold)) if self.threshold else -36.0
        return self.threshold + integrate(weighted, low, 36.0) / self.active

    def variance(self) -> float:
        mean = self.mean()
        inside = self.expect_inside(lambda logit: (expit(logit) - mean) ** 2)
        return inside + self.zero * mean**2 + self.one * (1.0 - mean) ** 2

    def entropy(self) -> float:
        atoms = xlogy(self.zero, self.zero) + xlogy(self.one, self.one)
        return float(-atoms - self.expect_inside(self.log_density))

    def kl(self, other: Reference) -> float:
        """KL in the mixed measure delta_0 + Lebesgue(0, 1) + delta_1."""

        def gain(logit: float) -> float:
            return self.log_density(logit) - other.log_density(logit)

        atoms = [(self.zero, other.zero), (self.one, other.one)]
        return sum(mine * math.log(mine / theirs) for mine, theirs in atoms if mine > 0) + self.expect_inside(
            gain
        )


class HardConcreteReference(Reference):
    def __init__(
        self, log_alpha: float, temperature: float, stretch: tuple[float, float] = (-0.1, 1.1)
    ) -> None:
        self.log_alpha, self.temperature = log_alpha, temperature
        self.gamma, self.zeta = stretch
        self.low = temperature * math.log(-self.gamma / self.zeta) - log_alpha
        self.high = temperature * math.log((1.0 - self.gamma) / (self.zeta - 1.0)) - log_alpha
        self.zero, self.one = float(expit(self.low)), float(expit(-self.high))

    def _logistic(self, x: np.ndarray) -> np.ndarray:
        """The L that gives x."""
        return self.temperature * np.log((x - self.gamma) / (self.zeta - x)) - self.log_alpha

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return expit(self._logistic(x))

    def log_density(self, logit: float) -> float:
        z = expit(logit)
        at = self._logistic(z)
        slope = self.temperature * (self.zeta - self.gamma) / ((z - self.gamma) * (self.zeta - z))
        return float(log_expit(at) + log_expit(-at) + math.log(slope))

    def expect_inside(self, function: Callable[[float], float]) -> float:
        def weighted(at: float) -> float:
            s = expit((at + self.log_alpha) / self.temperature)
            z = s * (self.zeta - self.gamma) + self.gamma
            return expit(at) * expit(-at) * function(math.log(z) - math.log1p(-z))

        low, high = max(self.low, -REACH), min(self.high, REACH)
        return integrate(weighted, low, high)


class BinaryConcreteReference(Reference):
    threshold = 0.5
    zero = one = 0.0

    def __init__(self, log_alpha: float, temperature: float) -> None:
        self.log_alpha, self.temperature = log_alpha, temperature

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return expit(self.temperature * (np.log(x) - np.log1p(-x)) - self.log_alpha)

    def log_density(self, logit: float) -> float:
        at = self.temperature * logit - self.log_alpha
        slope = math.log(self.temperature) - log_expit(logit) - log_expit(-logit)
        return float(log_expit(at) + log_expit(-at) + slope)

    def expect_inside(self, function: Callable[[float], float]) -> float:
        def weighted(at: float) -> float:
            return expit(at) * expit(-at) * function((at + self.log_alpha) / self.temperature)

        return integrate(weighted, -REACH, REACH)


class HardKumaraswamyReference(Reference):
    """With E exponential, P(s > t) = exp(-E) at E = -b log(1 - t^a); integrals are over log E."""

    def __init__(self, log_a: float, log_b: float, stretch: tuple[float, float] = (-0.1, 1.1)) -> None:
        self.a, self.b = math.exp(log_a), math.exp(log_b)
        self.gamma, self.zeta = stretch
        at_zero, at_one = (float(self._exponential(np.float64(x))) for x in (0.0, 1.0))
        self.low, self.high = math.log(at_zero), math.log(at_one)
        self.zero, self.one = -math.expm1(-at_zero), math.exp(-at_one)

    def _exponential(self, x: np.ndarray) -> np.ndarray:
        """The E that gives x."""
        s = (x - self.gamma) / (self.zeta - self.gamma)
        return -self.b * np.log1p(-(s**self.a))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return -np.expm1(-self._exponential(x))

    def log_density(self, logit: float) -> float:
        width = self.zeta - self.gamma
        s = (expit(logit) - self.gamma) / width
        power = (self.a - 1.0) * math.log(s) + (self.b - 1.0) * math.log1p(-(s**self.a))
        return math.log(self.a * self.b / width) + power

    def expect_inside(self, function: Callable[[float], float]) -> float:
        def weighted(at: float) -> float:
            s = (-math.expm1(-math.exp(at) / self.b)) ** (1.0 / self.a)
            z = s * (self.zeta - self.gamma) + self.gamma
            return math.exp(at - math.exp(at)) * function(math.log(z) - math.log1p(-z))

        # exp(-exp(4.2)) is 1e-29.
        return integrate(weighted, max(self.low, -REACH), min(self.high, 4.2))


class RectifiedNormalReference(Reference):
    def __init__(self, loc: float, scale: float = 0.5) -> None:
        self.loc, self.scale = loc, scale
        self.zero, self.one = float(ndtr(-loc / scale)), float(ndtr((loc - 1.0) / scale))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return ndtr((x - self.loc) / self.scale)

    def log_density(self, logit: float) -> float:
        at = (expit(logit) - self.loc) / self.scale
        return float(-0.5 * at**2 - math.log(self.scale * math.sqrt(2.0 * math.pi)))

    def expect_inside(self, function: Callable[[float], float]) -> float:
        def weighted(at: float) -> float:
            z = self.loc + self.scale * at
            return math.exp(-0.5 * at**2) / math.sqrt(2.0 * math.pi) * function(math.log(z) - math.log1p(-z))

        # exp(-0.5 * 14^2) is 3e-43.
        return integrate(
            weighted, max(-self.loc / self.scale, -14.0), min((1.0 - self.loc) / self.scale, 14.0)
        )


class BernoulliReference(Reference):
    def __init__(self, logits: float) -> None:
        self.zero, self.one = float(expit(-logits)), float(expit(logits))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return np.full_like(x, self.zero)

    def log_density(self, logit: float) -> float:
        return -math.inf

    def expect_inside(self, function: Callable[[float], float]) -> float:
        return 0.0
