"""Against brute force, in the user's units."""

import numpy as np
import pytest

from l0bayes import SpikeSlabRegressor
from l0bayes.selection.trust.noise_conflict import NoisePriorWarning
from tests.estimators.references import known_noise, unknown_noise


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(14, 3)) @ np.array([[1.0, 0.7, 0.0], [0.0, 0.6, 0.3], [0.0, 0.0, 1.0]])
    return x, x @ [1.0, 0.0, 0.4] + 0.6 * rng.normal(size=14)


PLAIN = {"standardize": False, "fit_intercept": False, "random_state": 0}


@pytest.mark.parametrize("inclusion", [0.3, [0.1, 0.5, 0.8], (1.0, 2.0)], ids=["one", "each", "beta"])
def test_the_plain_model_with_known_noise(data, inclusion):
    x, y = data
    fit = SpikeSlabRegressor(inclusion=inclusion, slab_scale=1.3, noise_scale=0.7, **PLAIN).fit(x, y)
    prior = [inclusion] * 3 if isinstance(inclusion, float) else inclusion
    truth = known_noise(x, y, prior, 1.3, 0.7)
    np.testing.assert_allclose(fit.pip_, truth["pip"], rtol=1e-9)
    np.testing.assert_allclose(fit.coef_, truth["mean"], rtol=1e-8)
    np.testing.assert_allclose(fit.original_scale_.sd, np.sqrt(np.diag(truth["covariance"])), rtol=1e-7)
    assert fit.log_evidence_ == pytest.approx(truth["evidence"], abs=1e-9)
    assert fit.intercept_ == 0.0
    assert fit.engine_ == "exact"
    assert fit.trust_.verdict == "exact"
    best = max(truth["models"], key=truth["models"].get)
    table = fit.top_models(3)
    assert table.loc[1, "variables"] == tuple(f"x{i}" for i, z in enumerate(best) if z)
    assert table.loc[1, "probability"] == pytest.approx(truth["models"][best], rel=1e-8)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_plain_model_with_unknown_noise(data, scaled):
    x, y = data
    given = {"inclusion": 0.4, "slab_scaled_by_noise": scaled, "noise_prior": (1.0, 1.0)}
    fit = SpikeSlabRegressor(**given, **PLAIN).fit(x, y)
    truth = unknown_noise(x, y, [0.4] * 3, 1.0, scaled=scaled)
    np.testing.assert_allclose(fit.pip_, truth["pip"], atol=1e-7)
    np.testing.assert_allclose(fit.coef_, truth["mean"], atol=1e-7)
    assert fit.log_evidence_ == pytest.approx(truth["evidence"], abs=1e-6)
    best = max(truth["models"], key=truth["models"].get)
    assert fit.top_models(1).loc[1, "probability"] == pytest.approx(truth["models"][best], rel=1e-5)


def test_predictive_deviations_with_an_intercept(data):
    x, y = data
    y = y + 3.0
    arguments = {"inclusion": 0.5, "intercept_scale": 4.0, "standardize": False, "random_state": 0}
    fit = SpikeSlabRegressor(**arguments, noise_prior=(1.0, 1.0)).fit(x, y)
    truth = unknown_noise(x, y, [0.5] * 3, 1.0, intercept=4.0)
    assert fit.intercept_ == pytest.approx(truth["mean"][0], abs=2e-3)
    new = np.array([[0.0, 0.0, 0.0], [2.0, -1.0, 3.0]])
    mean, deviation = fit.predict(new, return_std=True)
    rows = np.column_stack([np.ones(2), new])
    np.testing.assert_allclose(mean, rows @ truth["mean"], atol=2e-3)
    variance = np.einsum("ij,jk,ik->i", rows, truth["covariance"], rows) + truth["noise"]
    np.testing.assert_allclose(fit.predict(new), mean)
    # Deviations come from 4,000 draws, and have a standard error of 0.6 % themselves.
    found = [deviation**2]
    for seed in range(1, 16):
        again = SpikeSlabRegressor(**{**arguments, "random_state": seed}, noise_prior=(1.0, 1.0)).fit(x, y)
        found.append(again.predict(new, return_std=True)[1] ** 2)
    np.testing.assert_allclose(np.sqrt(np.mean(found, 0)), np.sqrt(variance), rtol=6e-3)


def test_weights_count_rows(data):
    x, y = data
    weights = np.array([0, 1, 2, 3, 1, 1, 2, 1, 1, 4, 1, 0, 1, 1])
    one = SpikeSlabRegressor(random_state=0).fit(x, y, sample_weight=weights)
    other = SpikeSlabRegressor(random_state=0).fit(np.repeat(x, weights, 0), np.repeat(y, weights))
    np.testing.assert_allclose(one.pip_, other.pip_, rtol=1e-8)
    assert one.log_evidence_ == pytest.approx(other.log_evidence_, abs=1e-8)


def test_standardising_is_what_the_docstring_says(data):
    """The same numbers by hand, and back."""
    x, y = data
    x, y = x * [1.0, 100.0, 0.01] + [0.0, 5.0, -1.0], 20.0 * y + 7.0
    given = SpikeSlabRegressor(inclusion=0.5, slab_scale=0.8, random_state=0, noise_prior=(1.0, 1.0))
    with pytest.warns(NoisePriorWarning):
        fit = given.fit(x, y)
    z, t = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    truth = unknown_noise(z, t, [0.5] * 3, 0.8, intercept=10.0)
    np.testing.assert_allclose(fit.pip_, truth["pip"], atol=1e-6)
    slopes = truth["mean"][1:] * y.std() / x.std(0)
    np.testing.assert_allclose(fit.coef_, slopes, rtol=1e-5)
    assert fit.intercept_ == pytest.approx(y.mean() - x.mean(0) @ slopes, rel=1e-6)
    assert fit.log_evidence_ == pytest.approx(truth["evidence"] - len(y) * np.log(y.std()), abs=1e-5)
    table = fit.summary()
    np.testing.assert_allclose(table["mean"].loc[["x0", "x1", "x2"]], fit.coef_)
    _, deviation = fit.predict(x, return_std=True)
    assert np.mean(deviation) < y.std() * 1.2


def test_units_change_no_pip(data):
    x, y = data
    one = SpikeSlabRegressor(random_state=0).fit(x, y)
    other = SpikeSlabRegressor(random_state=0).fit(x * [1e3, 1e-3, 1.0] + 50.0, 1e-3 * y)
    np.testing.assert_allclose(one.pip_, other.pip_, rtol=1e-6)
    np.testing.assert_allclose(one.coef_ * [1e-6, 1.0, 1e-3], other.coef_, rtol=1e-6)


def test_known_noise_is_in_units_of_y(data):
    x, y = data
    fit = SpikeSlabRegressor(noise_scale=0.5, random_state=0).fit(x, y)
    assert fit.original_scale_.noise_variance == pytest.approx(0.25)
    other = SpikeSlabRegressor(noise_scale=5.0, random_state=0).fit(x, 10.0 * y)
    np.testing.assert_allclose(fit.pip_, other.pip_, rtol=1e-8)


def test_a_group_is_in_or_out_as_a_whole(data):
    x, y = data
    fit = SpikeSlabRegressor(groups=["a", "b", "a"], inclusion=0.5, noise_scale=0.7, **PLAIN).fit(x, y)
    weights = known_noise(x, y, [0.5] * 3, 1.0, 0.7)["models"]
    kept = {m: w for m, w in weights.items() if m[0] == m[2]}
    total = sum(kept.values())
    assert fit.pip_[0] == fit.pip_[2] == pytest.approx(sum(w for m, w in kept.items() if m[0]) / total)
    assert fit.pip_[1] == pytest.approx(sum(w for m, w in kept.items() if m[1]) / total)
    assert list(fit.joint_inclusion().index) == ["a", "b"]
    named = SpikeSlabRegressor(groups={"a": ["x0", 2]}, inclusion=0.5, noise_scale=0.7, **PLAIN).fit(x, y)
    np.testing.assert_allclose(named.pip_, fit.pip_)


def test_sampling_agrees_with_enumeration(data):
    x, y = data
    exact = SpikeSlabRegressor(noise_scale=0.7, random_state=0).fit(x, y)
    gibbs = SpikeSlabRegressor(noise_scale=0.7, engine="gibbs", random_state=0).fit(x, y)
    assert gibbs.engine_ == "gibbs"
    np.testing.assert_allclose(gibbs.pip_, exact.pip_, atol=0.015)
    again = SpikeSlabRegressor(noise_scale=0.7, engine="gibbs", random_state=0).fit(x, y)
    np.testing.assert_array_equal(gibbs.pip_, again.pip_)
    assert gibbs.inference_data_.posterior.sizes["chain"] == 4


@pytest.mark.parametrize("factor", [1e200, 1e-200])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_units_whose_squares_are_no_numbers(data, factor, fit_intercept):
    x, y = data
    given = SpikeSlabRegressor(fit_intercept=fit_intercept).fit(x, y)
    other = SpikeSlabRegressor(fit_intercept=fit_intercept).fit(x * [factor, 1.0, 1.0], y)
    np.testing.assert_allclose(other.pip_, given.pip_, rtol=1e-9)
    np.testing.assert_allclose(other.coef_ * [factor, 1.0, 1.0], given.coef_, rtol=1e-9)
