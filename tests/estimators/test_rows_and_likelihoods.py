"""Offsets, exposures, trials, events, weights and always_in in the estimators of every likelihood."""

import numpy as np
import pytest
import torch

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
from l0bayes.estimators import SeparationWarning
from l0bayes.likelihoods import NegativeBinomial
from l0bayes.selection import GeneralisedProblem, InclusionPrior
from l0bayes.testing.engine_reference import enumerate_all

RNG = np.random.default_rng(0)
N = 60
X = RNG.normal(size=(N, 3))
ETA = 0.3 + 0.7 * X[:, 0]
TIME = RNG.exponential(np.exp(-0.8 * X[:, 0]))
EVENT = (RNG.random(N) < 0.7) * 1
EXPOSURE = RNG.uniform(0.5, 5.0, N)
COUNTS = RNG.poisson(EXPOSURE * np.exp(ETA) * RNG.gamma(1.5, 1 / 1.5, N))
TRIALS = RNG.integers(1, 6, N)
SUCCESSES = RNG.binomial(TRIALS, 1 / (1 + np.exp(-ETA)))
NUMBERS = 2.0 + 3.0 * (ETA + 0.6 * RNG.standard_t(2.5, N))
OFFSET = 0.4 * RNG.normal(size=N)
ONE = {"random_state": 0}
# Of every estimator: what it is, the response, and what else fit takes.
CASES = {
    "poisson": (SpikeSlabCountRegressor("poisson", **ONE), COUNTS, {}),
    "negative binomial": (SpikeSlabCountRegressor("negative_binomial", **ONE), COUNTS, {}),
    "binomial": (SpikeSlabBinomial(**ONE), SUCCESSES, {"trials": TRIALS}),
    "survival": (SpikeSlabCox(ties="breslow", **ONE), TIME, {"event": EVENT}),
    "robust": (SpikeSlabRobustRegressor(df=4.0, **ONE), NUMBERS, {}),
    "classes": (SpikeSlabClassifier(**ONE), SUCCESSES > TRIALS / 2, {}),
    "any": (SpikeSlabGLM(NegativeBinomial(0.5), **ONE), COUNTS, {}),
}


@pytest.fixture(params=CASES)
def case(request):
    estimator, y, more = CASES[request.param]
    return type(estimator)(**estimator.get_params()), y, more


pytestmark = pytest.mark.filterwarnings("ignore::l0bayes.estimators.LikelihoodWarning")


def test_a_weight_is_so_many_rows(case):
    estimator, y, more = case
    weights = np.arange(N) % 3
    rows = np.repeat(np.arange(N), weights)
    one = estimator.fit(X, y, weights, offset=OFFSET, **more)
    pip, coef = one.pip_, one.coef_
    repeated = {name: value[rows] for name, value in more.items()}
    other = estimator.fit(X[rows], y[rows], offset=OFFSET[rows], **repeated)
    np.testing.assert_allclose(pip, other.pip_, atol=1e-5)
    np.testing.assert_allclose(coef, other.coef_, atol=1e-5)


def test_always_in(case):
    estimator, y, more = case
    fit = estimator.set_params(always_in=[2]).fit(X, y, **more)
    assert fit.pip_[2] == 1.0
    assert fit.pip_[1] < 1.0


def test_an_offset_in_the_direction_of_a_column_takes_its_place(case):
    estimator, y, more = case
    without = estimator.fit(X, y, **more)
    open_, effect = without.pip_[0], without.coef_[0]
    beside = estimator.fit(X, y, offset=effect * X[:, 0], **more)
    assert open_ > 0.5 > beside.pip_[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"offset": np.full(N, np.inf)}, "offset must hold finite numbers; got inf in row 0"),
        ({"offset": np.zeros(3)}, r"offset must have shape \(60,\), one a row; got \(3,\)"),
        ({"sample_weight": np.zeros(N)}, "sample_weight must hold a number above zero"),
    ],
)
def test_rows_that_will_not_do(case, given, message):
    estimator, y, more = case
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y, **given, **more)


@pytest.mark.parametrize(
    ("case", "row", "message"),
    [
        ("poisson", 60.0, "offset must not be more than 40 above 0, the median of all rows"),
        ("survival", 740.0, "offset must not be more than 700 above 0, the smallest"),
        ("survival", -740.0, "offset must not be more than 700 above -740, the smallest"),
    ],
)
def test_offsets_that_numbers_do_not_hold_are_refused(case, row, message):
    estimator, y, known = CASES[case]
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y, offset=np.where(np.arange(N) == 7, row, 0.0), **known)


def test_an_event_beside_which_nothing_is_at_risk_tells_nothing():
    last = TIME.max() == TIME
    with pytest.raises(ValueError, match="the only event is at the largest time of all"):
        SpikeSlabCox().fit(X, TIME, event=last)
    with pytest.warns(SeparationWarning):  # of two rows at risk one has the event
        found = SpikeSlabCox().fit(X, np.minimum(TIME, np.sort(TIME)[-2]), event=last)
    assert np.isfinite(found.pip_).all()


def test_exposure_is_the_offset_of_its_logarithm():
    one = SpikeSlabCountRegressor("poisson", **ONE).fit(X, COUNTS, exposure=EXPOSURE)
    other = SpikeSlabPoissonRegressor(**ONE).fit(X, COUNTS, offset=np.log(EXPOSURE))
    np.testing.assert_array_equal(one.pip_, other.pip_)
    twice = one.predict(X, exposure=2.0 * EXPOSURE)
    np.testing.assert_allclose(twice, 2.0 * one.predict(X, offset=np.log(EXPOSURE)))
    assert one.score(X, COUNTS, exposure=EXPOSURE) > 0.2
    with pytest.raises(ValueError, match="a score of rows needs theirs"):
        one.score(X, COUNTS)
    for wrong, message in (
        ({"exposure": -EXPOSURE}, "exposure must hold positive numbers; got -"),
        ({"exposure": EXPOSURE, "offset": OFFSET}, "give offset or exposure, not both"),
    ):
        with pytest.raises(ValueError, match=message):
            one.fit(X, COUNTS, **wrong)
    with pytest.raises(ValueError, match="exposure is for counts"):
        SpikeSlabRobustRegressor().fit(X, NUMBERS, exposure=EXPOSURE)
    with pytest.raises(ValueError, match="dispersion is of likelihood='negative_binomial'"):
        SpikeSlabCountRegressor("poisson", dispersion=0.4).fit(X, COUNTS)
    with pytest.raises(ValueError, match="likelihood must be one of poisson, negative_binomial"):
        SpikeSlabCountRegressor("gaussian").fit(X, COUNTS)


def test_trials_against_quadrature():
    plain = {"standardize": False, "fit_intercept": False, "inclusion": 0.3}
    fit = SpikeSlabBinomial(**plain, **ONE).fit(X, SUCCESSES, trials=TRIALS, offset=OFFSET)
    likelihood = fit.posterior_.problem.likelihood
    problem = GeneralisedProblem(
        torch.tensor(X),
        torch.tensor(SUCCESSES),
        InclusionPrior(log_odds=torch.full((3,), np.log(0.3 / 0.7), dtype=torch.float64)),
        torch.ones(3),
        offset=torch.tensor(OFFSET),
        likelihood=likelihood,
    )
    wanted = enumerate_all(problem)
    np.testing.assert_allclose(fit.pip_, wanted.pip, atol=1e-3)
    np.testing.assert_allclose(fit.coef_, wanted.mean, atol=3e-3)
    share = fit.predict(X, offset=OFFSET)
    mean, sd = fit.predict(X, return_std=True, trials=TRIALS, offset=OFFSET)
    np.testing.assert_allclose(mean, TRIALS * share)
    assert (sd > 0.9 * np.sqrt(TRIALS * share * (1 - share))).all()
    with pytest.raises(ValueError, match="trials must be given"):
        SpikeSlabBinomial().fit(X, SUCCESSES)
    with pytest.raises(ValueError, match="counts between 0 and the number of trials"):
        SpikeSlabBinomial().fit(X, TRIALS + 1, trials=TRIALS)
    with pytest.raises(ValueError, match=r"trials must hold whole numbers, not negative; got"):
        SpikeSlabBinomial().fit(X, SUCCESSES, trials=0.5 * TRIALS)


def test_survival_times_in_every_form():
    pairs = np.column_stack([TIME, EVENT])
    fields = np.array(list(zip(EVENT > 0, TIME, strict=True)), dtype=[("seen", bool), ("days", float)])
    wanted = SpikeSlabCox(**ONE).fit(X, TIME, event=EVENT)
    for y in (pairs, fields, (TIME, EVENT > 0)):
        found = SpikeSlabCox(**ONE).fit(X, y)
        np.testing.assert_array_equal(found.pip_, wanted.pip_)
    # Units of time and of columns change nothing.
    other = SpikeSlabCox(**ONE).fit(3.0 * X + 1.0, 10.0 * TIME, event=EVENT)
    np.testing.assert_allclose(other.pip_, wanted.pip_, atol=1e-9)
    assert wanted.score(X, pairs) > 0.6
    assert wanted.predict(X).mean() == pytest.approx(0.0, abs=0.05)
    mean, ends = wanted.relative_hazard(X, interval=0.9)
    assert ((ends[:, 0] < mean) & (mean < ends[:, 1])).all()
    for wrong, message in (
        ((X, TIME), "event must be given, one a row"),
        ((X, -pairs), r"time must hold times, not negative; got -.* in row 0"),
        (
            (X, pairs + np.array([0.0, 1.0])),
            "event must hold 1 where the event was seen and 0 where not; got 2",
        ),
        ((X, pairs * [1.0, 0.0]), "event must be 1 in at least one row"),
    ):
        with pytest.raises(ValueError, match=message):
            SpikeSlabCox().fit(*wrong)


def test_outliers_do_not_move_it():
    y = 2.0 + 1.5 * X[:, 0] + 0.5 * np.random.default_rng(5).normal(size=N)
    far = y.copy()
    far[:3] += [60.0, -80.0, 100.0]
    clean = SpikeSlabRobustRegressor(**ONE).fit(X, y)
    found = SpikeSlabRobustRegressor(**ONE).fit(X, far)
    np.testing.assert_allclose(found.coef_, clean.coef_, atol=0.05)
    assert found.pip_[0] > 0.99
    attributes = found.summary().attrs
    assert attributes["sigma_low"] < attributes["sigma"] < attributes["sigma_high"]
    assert attributes["df"] < 3.0
    assert found.summary().attrs["df"] < clean.summary().attrs["df"]
    # Its units are its own.
    other = SpikeSlabRobustRegressor(**ONE).fit(10.0 * X, 7.0 * far - 3.0)
    np.testing.assert_allclose(other.pip_, found.pip_, atol=1e-9)
    np.testing.assert_allclose(other.coef_, 0.7 * found.coef_, rtol=1e-6)
    _, spread = found.predict(X, return_std=True)
    assert spread == pytest.approx(np.full(N, spread.mean()), rel=0.3)
    assert 0.2 < spread.mean() < 2.0
    known = SpikeSlabRobustRegressor(df=5.0, noise_scale=0.5, **ONE).fit(X, y)
    assert known.pip_[0] > 0.99
    with pytest.raises(ValueError, match="df must be positive or 'learned'"):
        SpikeSlabRobustRegressor(df="few").fit(X, y)


def test_likelihoods_that_rise_for_ever_are_told():
    level = (np.arange(N) % 4 == 0) * 1.0
    x = np.column_stack([level, X[:, 1]])
    with pytest.warns(SeparationWarning, match="'x0' differs from one number only in rows whose count is 0"):
        SpikeSlabCountRegressor("poisson").fit(x, np.where(level, 0, COUNTS + 1))
    with pytest.warns(SeparationWarning, match="'x0' differs from one number .* be merged with others"):
        SpikeSlabGLM("poisson").fit(x, np.where(level, 0, COUNTS + 1))  # as the command line does
    with pytest.warns(SeparationWarning, match="'x0' is largest \\(or smallest\\) at every event"):
        SpikeSlabCox().fit(np.column_stack([-TIME, X[:, 1]]), TIME, event=EVENT)
    with pytest.warns(SeparationWarning, match="'x0' separates the two classes"):
        SpikeSlabBinomial().fit(x, np.where(level, TRIALS, 0), trials=TRIALS)


def test_what_is_learned_is_in_the_draws():
    fit = SpikeSlabCountRegressor("negative_binomial", **ONE).fit(X, COUNTS, exposure=EXPOSURE)
    attributes = fit.summary().attrs
    assert attributes["dispersion_low"] < attributes["dispersion"] < attributes["dispersion_high"]
    mean, sd = fit.predict(X, return_std=True, exposure=EXPOSURE)
    assert (sd > np.sqrt(mean)).all()
    posterior = fit.inference_data_["posterior"]
    assert float(posterior["dispersion"].mean()) == pytest.approx(attributes["dispersion"], rel=0.05)


def test_heredity_in_other_likelihoods():
    import pandas as pd

    table = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "a:b": X[:, 0] * X[:, 1]})
    fit = SpikeSlabCox(heredity="strong", **ONE).fit(table, TIME, event=EVENT)
    assert fit.pip_[2] <= min(fit.pip_[:2]) + 1e-12
    assert SpikeSlabRegressor(heredity="strong", **ONE).fit(table, NUMBERS).pip_[2] <= 1.0
