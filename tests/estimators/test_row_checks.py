"""Residuals, replicated responses and influential rows."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from l0bayes import SpikeSlabClassifier, SpikeSlabGLM, SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.estimators import LikelihoodWarning
from l0bayes.likelihoods import NegativeBinomial
from l0bayes.plots import plot_predictive_check, plot_residuals


def data(rows=150, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    return x, 0.7 * x[:, 0], rng


def test_residuals_of_a_known_model_are_those_of_its_posterior():
    """All columns in, known noise: the predictive law of each row is Normal in closed form."""
    x, eta, rng = data()
    y = eta + rng.normal(size=len(x))
    fit = SpikeSlabRegressor(
        noise_scale=1.0, inclusion=0.999999, standardize=False, fit_intercept=False, random_state=0
    ).fit(x, y)
    covariance = np.linalg.inv(x.T @ x + np.eye(2))
    mean = x @ covariance @ x.T @ y
    std = np.sqrt(1.0 + np.einsum("ij,jk,ik->i", x, covariance, x))
    checks = fit.row_checks()
    np.testing.assert_allclose(checks.rows["residual"], (y - mean) / std, atol=0.02)
    np.testing.assert_allclose(checks.rows["mean"], mean, atol=0.02)
    assert checks.replicated.shape == (200, len(x))
    np.testing.assert_allclose(checks.replicated.mean(0), mean, atol=5.0 * std.max() / 200**0.5)


@pytest.mark.parametrize("kind", ["gaussian", "poisson", "negative_binomial", "classes"])
def test_where_the_model_holds_residuals_are_normal(kind):
    x, eta, rng = data(300)
    if kind == "gaussian":
        fit = SpikeSlabRegressor().fit(x, eta + rng.normal(size=len(x)))
    elif kind == "poisson":
        fit = SpikeSlabPoissonRegressor().fit(x, rng.poisson(np.exp(eta)))
    elif kind == "negative_binomial":
        y = rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, len(x)))
        fit = SpikeSlabGLM(NegativeBinomial(dispersion=0.5)).fit(x, y)
    else:
        fit = SpikeSlabClassifier().fit(x, rng.random(len(x)) < 1 / (1 + np.exp(-eta)))
    checks = fit.row_checks()
    assert stats.kstest(checks.rows["residual"], "norm").pvalue > 0.01
    assert not checks.rows["influential"].any()
    assert checks.words[-1].startswith("Nothing in the rows speaks against the likelihood")
    assert checks.classes == (kind == "classes")
    first, second = plot_residuals(checks), plot_predictive_check(checks)
    assert len(first.collections[0].get_offsets()) == len(x)
    assert second.get_title().startswith("Posterior predictive check")
    plt.close("all")


def test_what_is_wrong_is_said():
    x, eta, rng = data(300)
    with pytest.warns(LikelihoodWarning):
        counts = SpikeSlabPoissonRegressor().fit(x, rng.poisson(np.exp(eta) * rng.gamma(0.5, 2.0, len(x))))
    words = " ".join(counts.row_checks().words)
    assert "times as much as the poisson likelihood says" in words
    assert "Nothing in the rows" not in words
    uneven = eta + np.exp(0.8 * x[:, 0]) * rng.normal(size=len(x))
    with pytest.warns(LikelihoodWarning):
        fit = SpikeSlabRegressor().fit(x, uneven)
    assert "Residuals vary more where larger responses are expected" in " ".join(fit.row_checks().words)


@pytest.mark.filterwarnings("ignore::l0bayes.estimators.LikelihoodWarning")
def test_influential_rows_are_named():
    """A row far out in a column that it alone decides on: without it the posterior is another one."""
    x, eta, rng = data(80)
    y = eta + rng.normal(size=len(x))
    x[7], y[7] = [0.0, 9.0], 9.0
    fit = SpikeSlabRegressor(random_state=0).fit(x, y)
    checks = fit.row_checks("patient {}".format)
    assert checks.rows.index[checks.rows["influential"]].tolist() == [7]
    assert checks.rows["pareto_k"].idxmax() == 7
    assert any(words.startswith("Influential: patient 7. Without this row") for words in checks.words)
    without = SpikeSlabRegressor(random_state=0).fit(np.delete(x, 7, 0), np.delete(y, 7))
    assert fit.pip_[1] > 0.95
    assert without.pip_[1] < 0.5
    ax = plot_residuals(checks)
    assert [text.get_text() for text in ax.texts] == ["7"]
    plt.close("all")
