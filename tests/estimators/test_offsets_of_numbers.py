"""An offset of a Normal response is taken off it: PIPs, coefficients and predictions of the difference."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import l0bayes
from l0bayes import (
    SpikeSlabClassifier,
    SpikeSlabCountRegressor,
    SpikeSlabCox,
    SpikeSlabRegressor,
    SpikeSlabRobustRegressor,
)
from l0bayes.estimators.input_tables import ConstantColumnWarning
from l0bayes.estimators.row_terms import OffsetWarning

RNG = np.random.default_rng(3)
X = RNG.normal(size=(50, 4))
OFFSET = 100.0 + 20.0 * RNG.normal(size=50)
Y = OFFSET + 0.5 * X[:, 0] + RNG.normal(size=50)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"standardize": False, "intercept_scale": 100.0},
        {"fit_intercept": False},
        {"noise_prior": "jeffreys"},
        {"noise_scale": 1.0},
        {"slab_scaled_by_noise": True},
        {"slab": "jzs"},
        {"slab": "g", "g": "eb-local", "always_in": [1]},
        {"engine": "wide"},
        {"engine": "gibbs"},
    ],
    ids=str,
)
def test_an_offset_is_the_difference_as_the_response(arguments):
    one = SpikeSlabRegressor(random_state=0, **arguments).fit(X, Y, offset=OFFSET)
    other = SpikeSlabRegressor(random_state=0, **arguments).fit(X, Y - OFFSET)
    np.testing.assert_allclose(one.pip_, other.pip_, atol=1e-9)
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-9)
    np.testing.assert_allclose(one.intercept_, other.intercept_, atol=1e-9)
    np.testing.assert_allclose(one.log_evidence_, other.log_evidence_, atol=1e-8)
    new = [3.0, -4.0]
    np.testing.assert_allclose(one.predict(X[:2], offset=new), other.predict(X[:2]) + new, atol=1e-9)
    np.testing.assert_allclose(one.predict(X[:2], offset=7.0), other.predict(X[:2]) + 7.0, atol=1e-9)
    found, wanted = one.predict(X[:2], interval=0.9, offset=new), other.predict(X[:2], interval=0.9)
    np.testing.assert_allclose(found.high - found.low, wanted.high - wanted.low, atol=1e-6)
    assert one.score(X, Y, offset=OFFSET) > 0.9
    if "wide" not in arguments.values():
        residuals = [fit.row_checks().rows["residual"] for fit in (one, other)]
        np.testing.assert_allclose(*residuals, atol=1e-6)
        assert [check.value for check in one.likelihood_checks_] == pytest.approx(
            [check.value for check in other.likelihood_checks_]
        )


def test_offsets_of_tables_that_are_read_by_column():
    weights = RNG.integers(0, 3, 50)
    table = sp.csc_matrix(np.abs(X) > 1)
    one = SpikeSlabRegressor(engine="wide", random_state=0).fit(table, Y, weights, offset=OFFSET)
    other = SpikeSlabRegressor(engine="wide", random_state=0).fit(table, Y - OFFSET, weights)
    np.testing.assert_array_equal(one.pip_, other.pip_)
    with pytest.warns(OffsetWarning, match="an exposure of 1"):
        one.predict(table)
    with pytest.raises(ValueError, match=r"offset must have shape \(50,\)"):
        SpikeSlabRegressor(engine="wide").fit(table, Y, offset=OFFSET[:-1])


def test_an_offset_that_is_the_response_leaves_nothing_to_explain():
    with pytest.warns(ConstantColumnWarning, match="y - offset is constant"):
        SpikeSlabRegressor().fit(X, OFFSET + 3.0, offset=OFFSET)
    with pytest.raises(ValueError, match="offset must hold finite numbers; got inf in row 2"):
        SpikeSlabRegressor().fit(X, Y, offset=np.where(np.arange(50) == 2, np.inf, OFFSET))


COUNTS = RNG.poisson(2.0, 50)


@pytest.mark.parametrize(
    ("estimator", "y", "predict"),
    [
        (SpikeSlabRegressor(), Y, "predict"),
        (SpikeSlabCountRegressor(), COUNTS, "predict"),
        (SpikeSlabClassifier(), COUNTS > 2, "predict_proba"),
        (SpikeSlabRobustRegressor(df=4.0, noise_scale=1.0), Y, "predict"),
        (SpikeSlabCox(), np.c_[COUNTS + 1.0, np.ones(50)], "relative_hazard"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_predictions_without_the_offset_of_the_fit_are_warned_of(estimator, y, predict, tmp_path):
    fit = estimator.fit(X, y, offset=0.01 * OFFSET)
    with pytest.warns(OffsetWarning, match="predictions got none"):
        bare = getattr(fit, predict)(X[:3])
    meant = getattr(fit, predict)(X[:3], offset=0.0)
    np.testing.assert_array_equal(bare, meant)
    fit.save(tmp_path / "kept")
    kept = l0bayes.load_selection(tmp_path / "kept")
    again = "predict" if predict == "relative_hazard" else predict
    with pytest.warns(OffsetWarning, match="predictions got none"):
        bare = getattr(kept, again)(X[:3])
    np.testing.assert_allclose(bare, getattr(kept, again)(X[:3], offset=0.0))
    estimator.fit(X, y)  # nothing is left of the offset
    getattr(estimator, predict)(X[:3])


def locked(values):
    values = np.array(values)
    values.flags.writeable = False
    return values


def test_arrays_that_cannot_be_written_to_are_taken_without_a_word(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = SpikeSlabRegressor(slab_scale=locked(np.ones(4)), inclusion=locked(np.full(4, 0.3)))
        fit.fit(locked(X), locked(Y), locked(np.ones(50)), offset=locked(OFFSET))
        fit.predict(locked(X), offset=locked(OFFSET))
        fit.save(tmp_path / "kept")
        kept = l0bayes.load_selection(tmp_path / "kept")
        kept.predict(locked(X), offset=locked(OFFSET))
        kept.predict(pd.DataFrame(X, columns=fit.columns_), offset=pd.Series(OFFSET))
        counts = SpikeSlabCountRegressor().fit(locked(X), locked(COUNTS), exposure=locked(np.ones(50)))
        counts.predict(X, exposure=locked(np.ones(50)))
        cox = SpikeSlabCox().fit(locked(X), locked(COUNTS + 1.0), event=locked(np.ones(50)))
        cox.predict(locked(X))
        SpikeSlabRegressor(engine="wide").fit(locked(X.astype(np.float32)), locked(Y), locked(np.ones(50)))
