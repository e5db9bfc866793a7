"""Offsets of a location, rows without trials, and exposures of selections that were kept."""

import numpy as np
import pytest

import l0bayes
from l0bayes.estimators import SpikeSlabBinomial, SpikeSlabCountRegressor, SpikeSlabRobustRegressor

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 3))


@pytest.mark.parametrize("scale", [0.0, 3.0, 100.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_an_offset_of_a_location_is_what_is_taken_off_the_response(scale, fit_intercept):
    y = 0.4 * X[:, 0] + RNG.standard_t(4, size=40)
    offset = 1000.0 + scale * RNG.normal(size=40)
    build = {"fit_intercept": fit_intercept, "random_state": 0}
    wanted = SpikeSlabRobustRegressor(**build).fit(X, y)
    found = SpikeSlabRobustRegressor(**build).fit(X, y + offset, offset=offset)
    np.testing.assert_allclose(found.pip_, wanted.pip_, atol=1e-8)
    np.testing.assert_allclose(found.coef_, wanted.coef_, atol=1e-8)
    assert found.log_evidence_ == pytest.approx(wanted.log_evidence_, abs=1e-6)
    np.testing.assert_allclose(
        found.predict(X[:5], offset=offset[:5]) - offset[:5], wanted.predict(X[:5]), atol=1e-8
    )


@pytest.mark.parametrize("weights", [None, np.arange(42) % 3 + 1.0])
def test_rows_without_trials_are_as_if_they_were_not_there(weights):
    trials = RNG.integers(1, 8, size=40)
    y = RNG.binomial(trials, 1 / (1 + np.exp(-X[:, 0])))
    more = np.vstack([X, [[50.0, 0.0, 0.0], [0.0, -30.0, 1.0]]])
    found = SpikeSlabBinomial(random_state=0).fit(
        more, np.append(y, [0, 0]), weights, trials=np.append(trials, [0, 0])
    )
    kept = None if weights is None else weights[:40]
    wanted = SpikeSlabBinomial(random_state=0).fit(X, y, kept, trials=trials)
    np.testing.assert_allclose(found.pip_, wanted.pip_, atol=1e-10)
    np.testing.assert_allclose(found.coef_, wanted.coef_, atol=1e-10)


def test_a_kept_selection_of_counts_takes_an_exposure(tmp_path):
    exposure = RNG.uniform(1.0, 5.0, size=40)
    y = RNG.poisson(exposure * np.exp(0.5 * X[:, 0]))
    fit = SpikeSlabCountRegressor(random_state=0).fit(X, y, exposure=exposure)
    fit.save(tmp_path / "kept")
    again = l0bayes.load_selection(tmp_path / "kept")
    wanted = fit.predict(X[:4], exposure=exposure[:4])
    np.testing.assert_allclose(again.predict(X[:4], exposure=exposure[:4]), wanted, rtol=1e-12)
    np.testing.assert_allclose(again.predict(X[:4], offset=np.log(exposure[:4])), wanted, rtol=1e-12)
    with pytest.raises(ValueError, match="offset or exposure, not both"):
        again.predict(X[:4], exposure=exposure[:4], offset=exposure[:4])
