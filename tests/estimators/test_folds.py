"""Cross-validation: new levels have finite scores, and numbers that go with rows come into every fold."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from l0bayes import (
    SpikeSlabBinomial,
    SpikeSlabClassifier,
    SpikeSlabCountRegressor,
    SpikeSlabCox,
    SpikeSlabGLM,
    SpikeSlabPoissonRegressor,
    SpikeSlabRegressor,
    SpikeSlabRobustRegressor,
)

ROWS = 45
RNG = np.random.default_rng(1)
FRAME = pd.DataFrame(RNG.normal(size=(ROWS, 2)), columns=["a", "b"])
RARE = FRAME.assign(g=["rare"] + ["q", "r"] * 22)
NUMBERS = (0.6 * FRAME["a"] + RNG.normal(size=ROWS)).to_numpy()
EXPOSURE = RNG.uniform(0.5, 20.0, ROWS)
COUNTS = RNG.poisson(EXPOSURE * np.exp(0.3 * FRAME["a"]))
TRIALS = RNG.integers(1, 9, ROWS)
SUCCESSES = RNG.binomial(TRIALS, 1 / (1 + np.exp(-FRAME["a"])))
TIMES, EVENTS = RNG.exponential(np.exp(-FRAME["a"])), (np.arange(ROWS) % 4 > 0).astype(float)
FOLDS = KFold(3)
FIXED = SpikeSlabRobustRegressor(df=4.0, noise_scale=1.0, random_state=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "y", "unit"),
    [
        (SpikeSlabRegressor(random_state=0), NUMBERS, "r2"),
        (FIXED, NUMBERS, "r2"),
        (SpikeSlabPoissonRegressor(random_state=0), COUNTS, "r2"),
        (SpikeSlabCountRegressor("negative_binomial", dispersion=0.5), COUNTS, "r2"),
        (SpikeSlabGLM("poisson", random_state=0), COUNTS, "r2"),
        (SpikeSlabClassifier(random_state=0), NUMBERS > 0, "neg_log_loss"),
        (SpikeSlabCox(random_state=0), np.c_[TIMES, EVENTS], None),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_level_that_a_fold_lacks_has_a_finite_score(estimator, y, unit):
    assert np.isfinite(cross_val_score(estimator, RARE, y, cv=FOLDS, error_score="raise")).all()
    if unit is not None:
        other = estimator.__class__(**{**estimator.get_params(), "unseen": "mean"})
        found = cross_val_score(other, RARE, y, cv=FOLDS, scoring=unit, error_score="raise")
        assert np.isfinite(found).all()


@pytest.mark.filterwarnings("ignore")
def test_shares_with_a_level_that_a_fold_lacks():
    with sklearn.config_context(enable_metadata_routing=True):
        found = cross_val_score(
            SpikeSlabBinomial(random_state=0),
            RARE,
            SUCCESSES,
            cv=FOLDS,
            params={"trials": TRIALS},
            error_score="raise",
        )
    assert np.isfinite(found).all()


ROUTED = [
    (SpikeSlabBinomial(random_state=0), SUCCESSES, {"trials": TRIALS}),
    (SpikeSlabBinomial(random_state=0), SUCCESSES, {"trials": TRIALS, "offset": 0.1 * NUMBERS}),
    (SpikeSlabCountRegressor(random_state=0), COUNTS, {"exposure": EXPOSURE}),
    (SpikeSlabPoissonRegressor(random_state=0), COUNTS, {"offset": np.log(EXPOSURE)}),
    (SpikeSlabGLM("poisson", random_state=0), COUNTS, {"exposure": EXPOSURE}),
    (SpikeSlabClassifier(random_state=0), NUMBERS > 0, {"offset": NUMBERS}),
    (SpikeSlabRegressor(random_state=0), NUMBERS + EXPOSURE, {"offset": EXPOSURE}),
    (FIXED, NUMBERS + EXPOSURE, {"offset": EXPOSURE}),
    (SpikeSlabCox(random_state=0), TIMES, {"event": EVENTS}),
]


@pytest.mark.parametrize(("estimator", "y", "known"), ROUTED, ids=lambda given: type(given).__name__)
def test_numbers_that_go_with_rows_are_passed_on(estimator, y, known):
    given = {"cv": FOLDS, "params": known, "error_score": "raise"}
    with sklearn.config_context(enable_metadata_routing=True):
        found = cross_val_score(estimator, FRAME, y, **given)
        by_hand = []
        for train, test in FOLDS.split(FRAME):
            parts = [{name: values[rows] for name, values in known.items()} for rows in (train, test)]
            fit = estimator.fit(FRAME.iloc[train], y[train], **parts[0])
            by_hand.append(fit.score(FRAME.iloc[test], y[test], **parts[1]))
        np.testing.assert_allclose(found, by_hand, atol=1e-12)
        asked = estimator.set_fit_request(**dict.fromkeys(known, True))
        asked.set_score_request(**dict.fromkeys(known, True))
        np.testing.assert_allclose(cross_val_score(asked, FRAME, y, **given), by_hand, atol=1e-12)
        grid = GridSearchCV(estimator, {"slab_scale": [0.5]}, cv=FOLDS, error_score="raise")
        assert np.isfinite(grid.fit(FRAME, y, **known).best_score_)
        chain = make_pipeline(StandardScaler(), estimator)
        assert np.isfinite(cross_val_score(chain, FRAME, y, **given)).all()


@pytest.mark.parametrize(("estimator", "y", "known"), ROUTED, ids=lambda given: type(given).__name__)
def test_without_routing_the_remedy_is_named(estimator, y, known):
    with pytest.raises(ValueError, match=r"sklearn\.set_config\(enable_metadata_routing=True\)"):
        cross_val_score(estimator, FRAME, y, cv=FOLDS, params=known, error_score="raise")


@pytest.mark.parametrize(
    ("estimator", "y"),
    [(SpikeSlabBinomial(random_state=0), SUCCESSES), (SpikeSlabCox(random_state=0), TIMES)],
    ids=["trials", "event"],
)
def test_what_no_fit_can_do_without_is_asked_for_with_the_remedy(estimator, y):
    with pytest.raises(ValueError, match=r"sklearn\.set_config\(enable_metadata_routing=True\)"):
        cross_val_score(estimator, FRAME, y, cv=FOLDS, error_score="raise")


def test_a_pair_of_columns_needs_no_routing():
    both = np.c_[TIMES, EVENTS]
    found = cross_val_score(SpikeSlabCox(random_state=0), FRAME, both, cv=FOLDS, error_score="raise")
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_score(
            SpikeSlabCox(random_state=0), FRAME, TIMES, cv=FOLDS, params={"event": EVENTS}
        )
    np.testing.assert_array_equal(found, routed)
