"""p-values of calibrations, on posteriors in closed form: uniform where these are right, small where not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from l0bayes.selection.calibrate.replicates import Deviations, Replicates, joint_p, p_values, ranks_of

_BINS, _DRAWS, _COUNT = 20, 199, 99


def calibrated(generator, *, sets=12, shift=0.0, width=1.0, rounded=None):
    """Truths of three parameters that depend on one another, and draws of a posterior of each data set."""
    sums = Replicates(_COUNT)
    mix = np.array([[1.0, 0.0, 0.0], [0.9, 0.4, 0.0], [0.9, 0.3, 0.2]])
    for _ in range(sets):
        truth = generator.normal(size=(1, 3)) @ mix.T
        draws = shift + width * generator.normal(size=(_DRAWS, 3)) @ mix.T
        if rounded is not None:
            truth, draws = np.round(truth, rounded), np.round(draws, rounded)
        values = np.concatenate([truth, draws[:_COUNT]])
        columns = [np.sort(column) for column in draws.T]
        ranks = [ranks_of(v, c, generator.random(len(v))) for v, c in zip(values.T, columns, strict=True)]
        sums.add_ranks("ranks", np.stack(ranks, 1), _BINS)
    at = np.arange(1, _BINS) / _BINS
    curve = sums["ranks"].cumsum(1)[:, :-1] - at * sums["ranks"].sum(1, keepdims=True)
    moments = sums["ranks moments"]
    tests = [curve, moments[:, :1], moments[:, 1:]]
    values = np.stack([p_values(Deviations.of(test, 0.0).largest, generator) for test in tests])
    joint, adjusted = joint_p(values, generator)
    return np.array([*values[:, 0], joint]), adjusted


@pytest.mark.parametrize("rounded", [None, 0], ids=["continuous", "tied"])
def test_they_are_uniform_where_posteriors_are_right(rounded):
    """Also with parameters that are nearly one, with a dozen data sets, and with ties."""
    generator = np.random.default_rng(5)
    found = np.stack([calibrated(generator, rounded=rounded)[0] for _ in range(400)])
    for column in found.T:
        # Values of 100 places, spread a little for a test of continuous ones.
        spread = column - generator.random(len(column)) / (_COUNT + 1)
        assert stats.kstest(spread, "uniform").pvalue > 1e-3
    for level in (0.05, 0.1):
        assert ((found <= level).mean(0) < level + 3.0 * np.sqrt(level * (1 - level) / 400)).all()


@pytest.mark.parametrize(
    ("wrong", "caught"),
    [({"width": 0.6}, [0, 2, 3]), ({"width": 1.7}, [0, 2, 3]), ({"shift": 0.7}, [0, 1, 3])],
    ids=["narrow", "wide", "shifted"],
)
def test_posteriors_that_are_wrong_are_caught(wrong, caught):
    found = np.stack([calibrated(np.random.default_rng(seed), sets=150, **wrong)[0] for seed in range(5)])
    assert (np.median(found, 0)[caught] <= 0.05).all()


def test_a_point_is_no_posterior():
    """A test of the centre alone would like it best."""
    found, adjusted = calibrated(np.random.default_rng(0), sets=60, width=1e-3)
    assert found[3] <= 0.02
    assert adjusted[2] <= 0.05


def test_what_never_differs_among_draws_must_not_differ_in_the_truth():
    sums = np.zeros((100, 2))
    sums[1:, 0] = np.arange(99)
    assert np.isfinite(Deviations.of(sums, np.array([49.0, 1e-4])).largest).all()
    sums[0, 1] = 1.0
    assert Deviations.of(sums, np.array([49.0, 1e-4])).largest[0] == np.inf


def test_ranks_are_uniform_with_and_without_ties():
    generator = np.random.default_rng(1)
    tied = ranks_of(np.arange(5.0), np.arange(5.0), generator.random(5))
    assert ((tied > 0) & (tied < 1)).all()
    assert ranks_of(np.array([-1.0, 9.0]), np.arange(4.0), np.array([0.5, 0.5])).tolist() == [0.1, 0.9]
    all_alike = ranks_of(np.zeros(5), np.zeros(9), np.linspace(0.0, 1.0, 5))
    np.testing.assert_allclose(all_alike, np.linspace(0.0, 1.0, 5))
