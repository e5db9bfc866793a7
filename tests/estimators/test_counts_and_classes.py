"""Logistic and Poisson regression against quadrature over one or two coefficients."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, gammaln
from scipy.stats import norm

from l0bayes import SpikeSlabClassifier, SpikeSlabPoissonRegressor
from l0bayes.estimators import SeparationWarning

PLAIN = {"standardize": False, "fit_intercept": False, "random_state": 0}


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(60, 1))


def posterior(log_likelihood, inclusion, scale):
    """Evidence, PIP and mean of one coefficient with a spike and a Normal slab."""
    top = max(log_likelihood(b) for b in np.linspace(-3, 3, 301))

    def integral(power):
        return quad(lambda b: b**power * np.exp(log_likelihood(b) - top) * norm.pdf(b, 0, scale), -8, 8)[0]

    slab = inclusion * integral(0)
    spike = (1 - inclusion) * np.exp(log_likelihood(0.0) - top)
    return np.log(slab + spike) + top, slab / (slab + spike), inclusion * integral(1) / (slab + spike)


def test_logistic_regression(x):
    y = np.where(np.random.default_rng(2).random(60) < expit(0.7 * x[:, 0]), "yes", "no")
    fit = SpikeSlabClassifier(inclusion=0.3, slab_scale=1.5, **PLAIN).fit(x, y)
    sign = np.where(y == "yes", 1.0, -1.0)
    evidence, pip, mean = posterior(lambda b: np.log(expit(sign * b * x[:, 0])).sum(), 0.3, 1.5)
    assert fit.pip_[0] == pytest.approx(pip, abs=1e-3)
    assert fit.coef_[0] == pytest.approx(mean, abs=3e-3)
    assert fit.log_evidence_ == pytest.approx(evidence, abs=3e-3)
    assert list(fit.classes_) == ["no", "yes"]
    probabilities = fit.predict_proba([[0.0], [2.0], [-2.0]])
    np.testing.assert_allclose(probabilities.sum(1), 1.0)
    assert probabilities[0, 1] == pytest.approx(0.5)
    assert probabilities[1, 1] > 0.5 > probabilities[2, 1]
    labels, deviation = fit.predict([[2.0]], return_std=True)
    assert labels[0] == "yes"
    assert deviation[0] == pytest.approx(np.sqrt(probabilities[1, 0] * probabilities[1, 1]))


def test_poisson_regression(x):
    y = np.random.default_rng(2).poisson(np.exp(0.3 * x[:, 0]))
    fit = SpikeSlabPoissonRegressor(inclusion=0.3, slab_scale=1.5, **PLAIN).fit(x, y)

    def log_likelihood(b):
        return (y * b * x[:, 0] - np.exp(b * x[:, 0]) - gammaln(y + 1)).sum()

    evidence, pip, mean = posterior(log_likelihood, 0.3, 1.5)
    assert fit.pip_[0] == pytest.approx(pip, abs=1e-3)
    assert fit.coef_[0] == pytest.approx(mean, abs=3e-3)
    assert fit.log_evidence_ == pytest.approx(evidence, abs=3e-3)
    rate, deviation = fit.predict([[1.0]], return_std=True)
    assert deviation[0] > np.sqrt(rate[0])


@pytest.mark.parametrize("kind", [SpikeSlabClassifier, SpikeSlabPoissonRegressor])
def test_the_users_scale(kind):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(80, 3))
    eta = x[:, 0] - 0.5 * x[:, 1]
    y = (rng.random(80) < expit(eta)).astype(int) if kind is SpikeSlabClassifier else rng.poisson(np.exp(eta))
    one = kind(random_state=0).fit(x, y)
    other = kind(random_state=0).fit(x * [10.0, 0.1, 1.0] + 4.0, y)
    np.testing.assert_allclose(one.pip_, other.pip_, rtol=1e-6)
    np.testing.assert_allclose(one.coef_ / [10.0, 0.1, 1.0], other.coef_, rtol=1e-5)
    np.testing.assert_allclose(one.predict(x), other.predict(x * [10.0, 0.1, 1.0] + 4.0), rtol=1e-5)
    table = one.summary()
    assert table.index[0] == "x0"
    assert table.loc["x0", "cond_hdi_low"] < table.loc["x0", "cond_mean"] < table.loc["x0", "cond_hdi_high"]
    gibbs = kind(engine="gibbs", random_state=0).fit(x, y)
    np.testing.assert_allclose(gibbs.pip_, one.pip_, atol=0.02)


def test_separation_by_one_column_is_said():
    x = np.column_stack([np.arange(20.0), np.random.default_rng(0).normal(size=20)])
    with pytest.warns(SeparationWarning, match="column 'x0' separates the two classes.*slab_scale"):
        SpikeSlabClassifier(random_state=0).fit(x, np.arange(20) > 9)


def test_separation_by_columns_together_is_said():
    x = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.warns(SeparationWarning, match="together separate"):
        SpikeSlabClassifier(random_state=0).fit(x, x[:, 0] + x[:, 1] > 0)
