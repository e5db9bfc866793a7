"""Selection from moments: what the data give, to rounding."""

from contextlib import suppress

import numpy as np
import pandas as pd
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
        {"slab": "g", "g": "eb-global"},
        {"slab": "g", "g": "eb-local"},
        {"slab_scale": "learned"},
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


@pytest.mark.parametrize("seed", range(3))
def test_one_g_of_all_models_is_the_same(seed):
    """A top that values show to half of their digits only."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, 6)) * 7.0 + 50.0
    y = 0.1 * x[:, 0] + 0.05 * x[:, 1] + rng.normal(size=30)
    given = {"slab": "g", "g": "eb-global", "inclusion": 0.5}
    whole = SpikeSlabRegressor(**given).fit(x, y)
    fit = select_from_moments(x.T @ x, x.T @ y, y @ y, 30, means=np.append(x.mean(0), y.mean()), **given)
    np.testing.assert_allclose(fit.pip_, whole.pip_, rtol=0, atol=1e-11)


ROW_WORDS = "moments hold no rows, and those of the fit were made up"


def test_nothing_is_said_of_rows_that_were_made_up(tmp_path):
    fit = select_from_moments(**MOMENTS, means=MEANS, random_state=0)
    assert ROW_WORDS in fit.supports_row_checks()
    with pytest.raises(ValueError, match=ROW_WORDS):
        fit.row_checks()
    assert not hasattr(fit.inference_data_, "observed_data")
    assert hasattr(fit.inference_data_, "posterior")
    assert fit.likelihood_checks_ == []
    fit.save(tmp_path / "kept")
    # Fitted to rows it is the estimator of these.
    fit.fit(X, Y)
    assert len(fit.row_checks().rows) == 40
    assert len(fit.likelihood_checks_) == 1


@pytest.mark.parametrize("response", [False, True], ids=["columns", "response"])
@pytest.mark.parametrize("shift", [0.0, 1.0, 10.0, 100.0, 1e4, 1e6, 1e8])
@pytest.mark.parametrize("rows", [30, 300])
def test_moments_whose_means_took_their_digits_are_refused_and_others_are_right(rows, shift, response):
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, 4)) * [1.0, 0.1, 30.0, 2.0]
    x[:, 3] += x[:, 0]
    y = x[:, 0] + 2.0 / np.sqrt(rows) * x[:, 1] / 0.1 + rng.normal(size=rows)
    whole = SpikeSlabRegressor().fit(x, y)
    far_x = x if response else x + shift * x.std(0)
    far_y = y + shift * y.std() if response else y
    means = np.append(far_x.mean(0), far_y.mean())

    def found():
        return select_from_moments(far_x.T @ far_x, far_x.T @ far_y, far_y @ far_y, rows, means=means)

    if shift <= 10.0:
        np.testing.assert_allclose(found().pip_, whole.pip_, rtol=0, atol=1e-10)
    elif shift >= 1e4:
        what = "'y'" if response else r"'x\d'"
        with pytest.raises(ValueError, match=rf"means are too large beside the spread of {what}.* centred"):
            found()
    else:  # either will do, as long as what is taken is right
        with suppress(ValueError):
            np.testing.assert_allclose(found().pip_, whole.pip_, rtol=0, atol=1e-10)
    about = far_x - far_x.mean(0), far_y - far_y.mean()
    fit = select_from_moments(
        about[0].T @ about[0], about[0].T @ about[1], about[1] @ about[1], rows, means=np.zeros(5)
    )
    np.testing.assert_allclose(fit.pip_, whole.pip_, rtol=0, atol=max(1e-10, 1e-16 * shift * rows))


def test_means_of_many_rows_may_be_those_of_ages():
    """A million ages of 50, give or take 15: what is lost is beyond what anybody reads."""
    covariance = np.array([[225.0, 3.0, 4.0], [3.0, 1.0, 0.2], [4.0, 0.2, 225.0]])
    means, n = np.array([50.0, 0.0, 120.0]), 1_000_000
    moments = n * covariance + n * np.outer(means, means)
    fit = select_from_moments(moments[:2, :2], moments[:2, 2], moments[2, 2], n, means=means)
    other = select_from_moments(
        n * covariance[:2, :2], n * covariance[:2, 2], n * covariance[2, 2], n, means=np.zeros(3)
    )
    np.testing.assert_allclose(fit.pip_, other.pip_, rtol=0, atol=1e-7)


NAMES = ["size", "age", "dose", "income"]
SHUFFLED = ["dose", "income", "age", "size"]


def labelled(order=NAMES, of_xtx=NAMES):
    xtx = pd.DataFrame(X.T @ X, NAMES, NAMES).loc[of_xtx, NAMES]
    xty = pd.Series(X.T @ Y, NAMES)[order]
    means = pd.Series(MEANS, [*NAMES, "outcome"])[["outcome", *order]]
    return {"xtx": xtx, "xty": xty, "yty": float(Y @ Y), "n": 40, "means": means}


@pytest.mark.parametrize(
    "given",
    [
        labelled(),
        labelled(SHUFFLED),
        labelled(SHUFFLED, SHUFFLED),
        {**labelled(SHUFFLED), "means": (pd.Series(MEANS[:4], NAMES)[SHUFFLED], MEANS[4])},
        {**labelled(SHUFFLED), "means": MEANS},
        {**labelled(SHUFFLED), "means": pd.Series(MEANS), "xty": list(X.T @ Y)},
        {**labelled(SHUFFLED), "xtx": pd.DataFrame(X.T @ X, columns=NAMES)},
        {**labelled(SHUFFLED), "xtx": X.T @ X, "names": NAMES},
        {**labelled(), "xtx": X.T @ X},
        {**MOMENTS, "means": pd.Series(MEANS, [*NAMES, "y"])},
    ],
    ids=range(10),
)
def test_moments_are_taken_by_their_labels(given):
    whole = SpikeSlabRegressor(always_in=["dose"]).fit(pd.DataFrame(X, columns=NAMES), Y)
    fit = select_from_moments(**given, always_in=["dose"])
    assert fit.columns_ == NAMES
    assert list(fit.feature_names_in_) == NAMES
    np.testing.assert_allclose(fit.pip_, whole.pip_, rtol=0, atol=1e-10)
    assert fit.pip_[2] == 1.0
    new = pd.DataFrame(X, columns=NAMES)[:2]
    assert fit.predict(new) == pytest.approx(whole.predict(new), abs=1e-8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"xty": pd.Series(X.T @ Y, ["size", "age", "Dose", "income"])}, "xty lacks 'dose' and has 'Dose'"),
        ({"xtx": pd.DataFrame(X.T @ X, list("abcd"), NAMES)}, "xtx, in its rows, lacks 'size'"),
        (
            {"names": ["size", "age", "dose", "wage"]},
            "lacks 'wage' and has 'income' .* names has 'size', 'age'",
        ),
        ({"means": pd.Series(MEANS, ["a", *NAMES[1:], "y"])}, "means lacks 'size' and has"),
        ({"xty": pd.Series(X.T @ Y, ["size", "age", "dose", "dose"])}, "xty has the label 'dose' more than"),
    ],
    ids=str,
)
def test_labels_that_differ_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        select_from_moments(**{**labelled(), **changes})
