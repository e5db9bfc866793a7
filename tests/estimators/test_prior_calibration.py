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
from l0bayes.selection import ExactOptions

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
    [(SpikeSlabBinomial(), "each row needs a number of trials"), (SpikeSlabCox(), "no baseline hazard")],
)
def test_responses_that_cannot_be_drawn_are_refused(estimator, message, frame):
    with pytest.raises(ValueError, match=message):
        estimator.calibrate(frame, num_datasets=2)


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
