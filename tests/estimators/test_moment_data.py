"""Selection from moments: what the data give, to rounding."""

import numpy as np
import pytest

from l0bayes import SpikeSlabRegressor, select_from_moments

RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 4)) * [1.0, 5.0, 0.2, 2.0] + [3.0, -1.0, 0.0, 10.0]
Y = 0.4 * X[:, 0] + 2.0 + RNG.normal(size=40)
MEANS = np.append(X.mean(0), Y.mean())
MOMENTS = {"xtx": X.T @ X, "xty": X.T @ Y, "yty": float(Y @ Y), "n": 40}


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"noise_scale": 1.0},
        {"slab_scaled_by_noise": True, "noise_prior": "jeffreys"},
        {"slab": "g"},
        {"slab": "jzs"},
        {"slab": "hyper-g/n", "always_in": [1]},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::l0bayes.estimators.LikelihoodWarning")
def test_moments_are_enough(given, centred):
    whole = SpikeSlabRegressor(fit_intercept=centred, random_state=0, **given).fit(X, Y)
    fit = select_from_moments(**MOMENTS, means=MEANS, fit_intercept=centred, random_state=0, **given)
    np.testing.assert_allclose(fit.pip_, whole.pip_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(fit.coef_, whole.coef_, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(fit.original_scale_.sd, whole.original_scale_.sd, rtol=1e-9)
    assert fit.intercept_ == pytest.approx(whole.intercept_, abs=1e-9)
    assert fit.log_evidence_ == pytest.approx(whole.log_evidence_, abs=1e-8)
    np.testing.assert_allclose(fit.predict(X[:3]), whole.predict(X[:3]), atol=1e-9)


def test_without_means_there_is_no_intercept():
    x, y = X - X.mean(0), Y - Y.mean()
    whole = SpikeSlabRegressor(fit_intercept=False, random_state=0).fit(x, y)
    fit = select_from_moments(x.T @ x, x.T @ y, float(y @ y), 40, random_state=0)
    np.testing.assert_allclose(fit.pip_, whole.pip_, rtol=0, atol=1e-10)
    assert fit.intercept_ == 0.0


def test_names_and_pairs():
    pair = (X.mean(0), Y.mean())
    fit = select_from_moments(**MOMENTS, means=pair, names=list("abcd"), slab="g", always_in=["b"])
    assert sorted(fit.summary().index) == list("abcd")
    assert fit.pip_[1] == 1.0
    assert fit.likelihood_checks_ == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"xtx": -MOMENTS["xtx"]}, "positive definite"),
        ({"yty": 1.0}, "smaller than its mean allows"),
        ({"xty": 10.0 * MOMENTS["xty"]}, "positive definite together"),
        ({"xtx": MOMENTS["xtx"][:3]}, r"xtx must have the shape \(4, 4\)"),
        ({"xtx": np.triu(MOMENTS["xtx"])}, "xtx must be symmetric"),
        ({"xty": np.full(4, np.nan)}, "xty must be finite, got nan"),
        ({"yty": np.inf}, "yty must be a finite number"),
        ({"n": 0}, "n must be the number of rows"),
        ({"means": MEANS[:3]}, "means must have 5 entries"),
        ({"names": ["a"]}, "names must name each of 4 columns"),
        ({"means": None, "fit_intercept": True}, "fit_intercept needs means"),
    ],
    ids=lambda given: "" if isinstance(given, dict) else given,
)
def test_refusals(changes, words):
    with pytest.raises(ValueError, match=words):
        select_from_moments(**{**MOMENTS, "means": MEANS, **changes})


@pytest.mark.parametrize(
    ("n", "means", "rank"),
    [(2, True, 1), (4, True, 3), (1, False, 1), (3.5, False, 4)],
)
def test_moments_of_more_rows_than_were_told_are_refused(n, means, rank):
    x = np.random.default_rng(0).normal(size=(30, 4))
    x, y = x - x.mean(0), x[:, 0] ** 2
    y -= y.mean()
    given = {"means": np.zeros(5)} if means else {}
    with pytest.raises(
        ValueError, match=f"of rank {rank} at most, and xtx, xty and yty together have rank 5"
    ):
        select_from_moments(x.T @ x, x.T @ y, y @ y, n, **given)


def test_moments_of_few_rows_are_taken():
    x = np.random.default_rng(0).normal(size=(4, 6))
    y = x[:, 0] + np.array([0.3, -0.1, 0.2, -0.4])
    means = np.append(x.mean(0), y.mean())
    one = select_from_moments(x.T @ x, x.T @ y, y @ y, 4, means=means)
    np.testing.assert_allclose(one.pip_, SpikeSlabRegressor().fit(x, y).pip_, atol=1e-6)
