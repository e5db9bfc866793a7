"""The gate laws a second time, in NumPy and SciPy, straight from the formulas; no law of l0bayes is asked.

Every law is the image of a standard variable: logistic for the concrete laws, with expectations as
integrals over L with the weight sigma'(L), Normal for the rectified one, and the logarithm of an
exponential for the Kumaraswamy. All are taken by adaptive quadrature on short pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import expit, log_expit, ndtr

from l0bayes.testing.gate_law_reference import GateLawReference, integrate

# sigma'(L) is below 1e-26 beyond; what is cut off is far below every tolerance.
REACH = 60.0


class HardConcreteReference(GateLawReference):
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


class BinaryConcreteReference(GateLawReference):
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


class HardKumaraswamyReference(GateLawReference):
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


class RectifiedNormalReference(GateLawReference):
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


class BernoulliReference(GateLawReference):
    def __init__(self, logits: float) -> None:
        self.zero, self.one = float(expit(-logits)), float(expit(logits))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return np.full_like(x, self.zero)

    def log_density(self, logit: float) -> float:
        return -math.inf

    def expect_inside(self, function: Callable[[float], float]) -> float:
        return 0.0
