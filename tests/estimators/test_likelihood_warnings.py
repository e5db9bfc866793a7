"""An estimator says where the data contradict its likelihood, and what to fit instead."""

import numpy as np
import pytest

from l0bayes import SpikeSlabClassifier, SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.estimators import LikelihoodWarning, SpikeSlabGLM
from l0bayes.likelihoods import NegativeBinomial


def columns(count=200):
    return np.random.default_rng(1).normal(size=(count, 4))


def test_overdispersed_counts():
    x = columns()
    y = np.random.default_rng(1).negative_binomial(1, 1 / (1 + np.exp(3 + 0.3 * x[:, 0])))
    with pytest.warns(
        LikelihoodWarning, match=r"vary [\d.]+ times as much as the poisson.*negative_binomial"
    ):
        fit = SpikeSlabPoissonRegressor(random_state=0).fit(x, y)
    (check,) = fit.likelihood_checks_
    assert check.value > 8.0
    assert fit.trust_.verdict == "doubtful"
    assert "this would be exact" in fit.trust_.reasons[0]
    assert fit.summary().attrs["trust"] == "doubtful"
    other = SpikeSlabGLM(NegativeBinomial(1.0), random_state=0).fit(x, y)
    assert other.trust_.verdict == "exact"
    assert (other.pip_[1:] < 0.3).all()


def test_heavy_tails():
    x = columns()
    y = x[:, 0] + np.random.default_rng(0).standard_t(1.5, size=200)
    with pytest.warns(LikelihoodWarning, match=r"heavier tails than a Normal law.*excess kurtosis is"):
        fit = SpikeSlabRegressor(random_state=0).fit(x, y)
    assert "student_t" in fit.trust_.contradiction
    assert fit.likelihood_checks_[0].value > 5.0


def test_the_row_of_the_largest_residual_is_that_of_x():
    x = columns(60)
    y = np.random.default_rng(0).normal(size=60)
    y[41] = 50.0
    weights = (np.arange(60) >= 5).astype(float)
    with pytest.warns(LikelihoodWarning, match="in row 41 of X, counted from 0"):
        SpikeSlabRegressor(random_state=0).fit(x, y, sample_weight=weights)


def test_counts_that_are_not_whole_are_told():
    x = columns(40)
    y = np.random.default_rng(0).poisson(3.0, size=40).astype(float)
    y[7] = 2.5
    with pytest.warns(LikelihoodWarning, match=r"y holds 2.5 and 0 more numbers that are no counts"):
        SpikeSlabPoissonRegressor(random_state=0).fit(x, y)


def test_a_noise_that_is_wrong():
    x = columns()
    y = x[:, 0] + np.random.default_rng(0).normal(size=200)
    with pytest.warns(LikelihoodWarning, match="the noise that was given says"):
        SpikeSlabRegressor(noise_scale=0.3, random_state=0).fit(x, y)
    fit = SpikeSlabRegressor(noise_scale=1.0, random_state=0).fit(x, y)
    assert [check.measure for check in fit.likelihood_checks_] == ["dispersion", "excess kurtosis"]
    assert fit.likelihood_checks_[0].value == pytest.approx(1.0, abs=0.3)
    assert fit.trust_.verdict == "exact"


def test_data_as_they_should_be_raise_no_alarm():
    x, rng = columns(), np.random.default_rng(0)
    assert SpikeSlabRegressor(random_state=0).fit(x, x[:, 0] + rng.normal(size=200)).trust_
    assert SpikeSlabPoissonRegressor(random_state=0).fit(x, rng.poisson(np.exp(1 + 0.5 * x[:, 0]))).trust_
    assert SpikeSlabClassifier(random_state=0).fit(x, rng.random(200) < 0.1).likelihood_checks_ == []
