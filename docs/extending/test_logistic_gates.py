"""The law passes its suite, which is given its formulas a second time, and its guide that of guides."""

import math

import mpmath
import pyro.distributions as dist
import torch
from hypothesis import strategies as st
from logistic_gates import LogisticGate
from scipy.special import expit, log_expit

import l0bayes
from l0bayes.guides import gate_guide
from l0bayes.models import SparseRegression
from l0bayes.testing.gate_guide_suite import GateGuideSuite
from l0bayes.testing.gate_law_reference import GateLawReference, integrate
from l0bayes.testing.gate_law_suite import GateLawSuite


class LogisticReference(GateLawReference):
    def __init__(self, location, width):
        self.location, self.width = location, width
        self.zero, self.one = float(expit(-location / width)), float(expit((location - 1.0) / width))

    def cdf(self, x):
        return expit((x - self.location) / self.width)

    def log_density(self, logit):
        at = (expit(logit) - self.location) / self.width
        return float(log_expit(at) + log_expit(-at) - math.log(self.width))

    def expect_inside(self, function):
        def weighted(at):
            z = self.location + self.width * at
            return expit(at) * expit(-at) * function(math.log(z) - math.log1p(-z))

        return integrate(weighted, -self.location / self.width, (1.0 - self.location) / self.width)


class TestLogisticGate(GateLawSuite):
    law = LogisticGate
    cases = [
        {"location": 0.3, "width": 0.2},
        {"location": -1.0, "width": 0.4},
        {"location": 1.5, "width": 0.3},
        {"location": 0.6, "width": 0.1},
    ]
    extreme_cases = [{"location": sign * 20.0, "width": 0.3} for sign in (1.0, -1.0)]
    parameters = {"location": st.floats(-5.0, 5.0), "width": st.floats(0.1, 1.0)}

    def reference(self, **case):
        return LogisticReference(**case)

    def exact_active(self, location, width):
        return 1 / (1 + mpmath.exp(-mpmath.mpf(location) / mpmath.mpf(width)))


class TestLogisticGuide(GateGuideSuite):
    gate_law = "logistic"


def test_a_regression_finds_its_column():
    torch.manual_seed(0)
    x = torch.randn(80, 3)
    y = dist.Normal(x[:, 1], 0.5).sample()
    model = SparseRegression(3, inclusion=0.3)
    guide = gate_guide(model, (x, y), gate_law="logistic")
    fit = l0bayes.fit(model, guide, (x, y), steps=800, progress=False)
    assert (fit.guide.gates()["beta.gate"].prob_active > 0.5).tolist() == [False, True, False]
