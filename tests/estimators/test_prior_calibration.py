"""``calibrate(X)`` of the estimators: the problem that fit would pose, drawn from its prior."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from l0bayes import SpikeSlabClassifier, SpikeSlabGLM, SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.estimators import (
    SpikeSlabBinomial,
    SpikeSlabCountRegressor,
    SpikeSlabCox,
    SpikeSlabRobustRegressor,
)
from l0bayes.plots import plot_calibration
from l0bayes.selection import ExactOptions, infer_gates

FEW = {"engine": "exact", "options": ExactOptions(num_draws=300), "random_state": 0}


@pytest.fixture
def frame():
    generator = np.random.default_rng(0)
    x = pd.DataFrame(generator.normal(size=(24, 2)), columns=["dose", "age"])
    return x.assign(ward=generator.choice(["a", "b", "c"], 24))


@pytest.mark.parametrize(
    "estimator",
    [
        SpikeSlabRegressor(noise_prior=(3.0, 1.0), **FEW),
        SpikeSlabRegressor(slab="g", **FEW),
        SpikeSlabRegressor(noise_scale=0.5, standardize=False, fit_intercept=False, **FEW),
        SpikeSlabClassifier(**FEW),
        SpikeSlabPoissonRegressor(slab_scale=0.5, **FEW),
        SpikeSlabGLM("poisson", slab_scale=0.5, **FEW),
    ],
    ids=["normal", "g", "known noise", "logistic", "poisson", "glm"],
)
def test_estimators_are_calibrated_for_a_frame_with_a_factor(estimator, frame):
    shown = []
    found = estimator.calibrate(frame, num_datasets=4, progress=shown.append)
    assert shown == [0.25, 0.5, 0.75, 1.0]
    assert found.words.startswith("4 data sets of 24 rows and 3 gates were drawn from the prior and fitted")
    assert str(found) == found.words
    assert found.to_frame().loc["inclusion", "count"].sum() == 12
    assert not hasattr(estimator, "n_features_in_")  # it is as it was


def test_a_handful_of_data_sets_is_no_finding(frame):
    found = SpikeSlabRegressor(noise_prior=(3.0, 1.0), **FEW).calibrate(frame, num_datasets=5)
    assert "So few show nothing: with 5 data sets" in found.words
    assert "Nothing speaks against" not in found.words


def test_groups_heredity_and_columns_that_are_always_in_count(frame):
    x = frame[["dose", "age"]].assign(**{"dose:age": frame["dose"] * frame["age"]})
    estimator = SpikeSlabRegressor(always_in=["age"], heredity="strong", noise_prior=(3.0, 1.0), **FEW)
    table = estimator.calibrate(x, num_datasets=5).reliability
    assert table["count"].iloc[-1] >= 5  # whatever is always in has a PIP of 1
    assert table["realised"].iloc[-1] > 0.5


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (SpikeSlabRegressor(slab="g", g="eb-global"), "has no law of g before the data"),
        (SpikeSlabRegressor(inclusion=2.0), "inclusion must lie strictly between 0 and 1"),
        (SpikeSlabRegressor(intercept_scale=np.inf), "intercept='prior' needs a prior"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(estimator, message, frame):
    with pytest.raises(ValueError, match=message):
        estimator.calibrate(frame, num_datasets=3, intercept="prior")


@pytest.mark.parametrize(
    ("estimator", "held"),
    [
        (SpikeSlabCountRegressor(likelihood="negative_binomial", slab_scale=0.4), "the dispersion at 0.3"),
        (SpikeSlabRobustRegressor(), "the df at 5"),
    ],
)
def test_what_is_learned_of_a_likelihood_is_held_and_learned_again(estimator, held):
    x = np.random.default_rng(0).normal(size=(20, 2))
    found = estimator.set_params(random_state=0).calibrate(x, num_datasets=2)
    assert held in found.words


@pytest.mark.parametrize(
    ("estimator", "message"),
    [(SpikeSlabBinomial(), "each row needs a number of trials")],
)
def test_responses_that_cannot_be_drawn_are_refused(estimator, message, frame):
    with pytest.raises(ValueError, match=message):
        estimator.calibrate(frame, num_datasets=2)


PLANNED = [
    (SpikeSlabRegressor(**FEW), {"offset": np.arange(24.0)}),
    (SpikeSlabRobustRegressor(df=4.0, noise_scale=0.5, **FEW), {"offset": np.arange(24.0)}),
    (SpikeSlabClassifier(**FEW), {"offset": np.linspace(-1.0, 1.0, 24)}),
    (SpikeSlabCountRegressor(slab_scale=0.5, **FEW), {"exposure": np.linspace(0.5, 20.0, 24)}),
    (SpikeSlabGLM("poisson", slab_scale=0.5, **FEW), {"offset": np.linspace(-1.0, 1.0, 24)}),
    (SpikeSlabBinomial(**FEW), {"trials": 5}),
    (SpikeSlabBinomial(**FEW), {"trials": np.arange(24) % 5, "offset": np.linspace(-1.0, 1.0, 24)}),
    (SpikeSlabCox(**FEW), {}),
    (SpikeSlabCox(ties="breslow", **FEW), {"censored": 0.4, "offset": np.linspace(-1.0, 1.0, 24)}),
]


@pytest.mark.parametrize(("estimator", "known"), PLANNED, ids=lambda given: type(given).__name__)
def test_what_is_known_of_rows_comes_into_every_data_set(estimator, known, frame):
    rare = frame.assign(rare=np.arange(24) == 3)  # the response that stands in is not warned of
    found = estimator.calibrate(rare, num_datasets=3, **known)
    rows = 24 - int(np.sum(np.atleast_1d(known.get("trials", 1)) == 0))
    assert found.words.startswith(f"3 data sets of {rows} rows and 4 gates")
    assert found.to_frame().loc["inclusion", "count"].sum() == 12
    assert "log likelihood" in found.tests.index


@pytest.mark.parametrize(
    ("estimator", "known", "message"),
    [
        (SpikeSlabRegressor(), {"trials": 3}, "trials is of SpikeSlabBinomial; got 3 for SpikeSlabRegressor"),
        (SpikeSlabClassifier(), {"censored": 0.2}, "censored is of SpikeSlabCox"),
        (SpikeSlabClassifier(), {"exposure": np.ones(24)}, "exposure is for counts"),
        (SpikeSlabRegressor(), {"offset": np.ones(23)}, "offset must have shape"),
        (SpikeSlabCox(), {"censored": 1.0}, "censored must be a share from 0 to below 1"),
        (SpikeSlabCox(), {"exposure": np.ones(24)}, "exposure is for counts"),
        (SpikeSlabBinomial(), {"trials": 0.5}, "trials must hold whole numbers"),
        (SpikeSlabCountRegressor(), {"exposure": -np.ones(24)}, "exposure must hold positive numbers"),
    ],
    ids=str,
)
def test_plans_that_an_estimator_does_not_take_are_refused(estimator, known, message, frame):
    with pytest.raises(ValueError, match=message):
        estimator.calibrate(frame, num_datasets=3, **known)


@pytest.mark.parametrize(
    ("estimator", "known"),
    [
        (SpikeSlabBinomial(**FEW), {"trials": 4}),
        (SpikeSlabCox(**FEW), {}),
        (SpikeSlabCox(**FEW), {"censored": 0.5}),
    ],
    ids=["binomial", "cox", "cox, half of them censored"],
)
def test_shares_and_survival_times_are_calibrated(estimator, known):
    x = np.random.default_rng(0).normal(size=(25, 2))
    found = estimator.calibrate(x, num_datasets=40, **known)
    assert found.right
    moments = found.fits.sums.sums["intervals moments"]
    assert abs(moments[0] / moments[1:].std(0)).max() < 3.5


@pytest.mark.parametrize("kind", [SpikeSlabBinomial, SpikeSlabCox])
def test_a_wrong_prior_of_shares_and_survival_times_is_found(kind, monkeypatch):
    """Data under slabs three times as wide as those that are fitted."""
    from l0bayes.selection.calibrate import simulated_fits as fits

    def narrow(problem, *args, **options):
        return infer_gates(problem.replace(slab_scale=problem.slab_scale / 3.0), *args, **options)

    monkeypatch.setattr(fits, "infer_gates", narrow)
    x = np.random.default_rng(0).normal(size=(40, 2))
    known = {"trials": 4} if kind is SpikeSlabBinomial else {"censored": 0.3}
    found = kind(**FEW).calibrate(x, num_datasets=50, **known)
    assert not found.right
    assert "conditional intervals are too narrow" in found.words or "the inclusion" in found.words


def test_columns_are_checked_as_in_fit(frame):
    with pytest.raises(ValueError, match="dose"):
        SpikeSlabRegressor().calibrate(frame.assign(dose=np.nan), num_datasets=3)


def test_the_picture_has_three_parts(frame):
    found = SpikeSlabRegressor(noise_prior=(3.0, 1.0), **FEW).calibrate(frame, num_datasets=6)
    axes = plot_calibration(found)
    assert [ax.get_title().split(",")[0] for ax in axes] == ["Inclusion", "Conditional intervals", "Power"]
    with pytest.raises(ValueError, match="axes must be three, got 2"):
        plot_calibration(found, axes=axes[:2])
    plt.close(axes[0].figure)
