"""What ``log10_bf`` is: the Bayes factor of a gate, by enumeration of all models and their priors."""

import itertools

import numpy as np
import pytest
from scipy.special import betaln, logsumexp
from scipy.stats import multivariate_normal

from l0bayes import SpikeSlabRegressor

PLAIN = {"standardize": False, "fit_intercept": False, "noise_scale": 1.0, "random_state": 0}


def data(strong=3, noise=2, count=40):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, strong + noise))
    return x, 2.0 * x[:, :strong].sum(1) + rng.normal(size=count)


def factors(x, y, log_prior):
    """log10 of p(D | gate open) / p(D | gate shut), of each gate."""
    models = np.array(list(itertools.product((0, 1), repeat=x.shape[1])))
    evidence = [
        multivariate_normal.logpdf(y, np.zeros(len(y)), np.eye(len(y)) + (x * model) @ x.T)
        for model in models
    ]
    prior = np.array([log_prior(model) for model in models])
    found = []
    for gate in range(x.shape[1]):
        sides = []
        for state in (1, 0):
            some = models[:, gate] == state
            conditional = prior[some] - logsumexp(prior[some])
            sides.append(logsumexp(np.array(evidence)[some] + conditional))
        found.append((sides[0] - sides[1]) / np.log(10.0))
    return np.array(found)


@pytest.mark.parametrize("a", [0.5, 1.0, 4.0])
def test_under_a_beta_prior(a):
    x, y = data()
    fit = SpikeSlabRegressor(inclusion=(a, 2.0), **PLAIN).fit(x, y)
    truth = factors(x, y, lambda model: betaln(a + model.sum(), 2.0 + len(model) - model.sum()))
    np.testing.assert_allclose(fit.summary()["log10_bf"].sort_index(), truth, rtol=1e-7, atol=1e-9)


def test_with_given_probabilities():
    x, y = data()
    inclusion = [0.1, 0.5, 0.9, 0.3, 0.6]
    fit = SpikeSlabRegressor(inclusion=inclusion, **PLAIN).fit(x, y)
    odds = np.log(inclusion) - np.log1p(-np.array(inclusion))
    truth = factors(x, y, lambda model: model @ odds)
    np.testing.assert_allclose(fit.summary()["log10_bf"].sort_index(), truth, rtol=1e-7, atol=1e-9)


def test_a_learned_share_speaks_for_columns_that_say_nothing():
    """What the docstring says of a Beta prior, on a column of zeros but for rounding."""
    x, y = data(strong=6, noise=1)
    x[:, -1] *= 1e-9
    shared = SpikeSlabRegressor(inclusion=(1.0, 1.0), **PLAIN).fit(x, y).summary().loc["x6", "log10_bf"]
    given = SpikeSlabRegressor(inclusion=0.5, **PLAIN).fit(x, y).summary().loc["x6", "log10_bf"]
    assert given == pytest.approx(0.0, abs=1e-6)
    assert shared == pytest.approx(np.log10(7.0), abs=0.01)


def test_evidence_beyond_the_digits_of_a_probability_is_finite():
    x, y = data(count=200)
    fit = SpikeSlabRegressor(inclusion=0.5, **PLAIN).fit(x, y)
    assert fit.pip_[0] == 1.0
    truth = factors(x, y, lambda model: 0.0)
    np.testing.assert_allclose(fit.summary()["log10_bf"].sort_index(), truth, rtol=1e-6, atol=1e-8)
