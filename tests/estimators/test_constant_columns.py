"""A column that is constant in the rows at hand, such as those of a fold, says nothing and breaks nothing."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_val_score

from l0bayes import SpikeSlabClassifier, SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.estimators.frame_coding import UnseenLevelWarning
from l0bayes.estimators.input_tables import ConstantColumnWarning

KINDS = [SpikeSlabRegressor, SpikeSlabClassifier, SpikeSlabPoissonRegressor]


def frame(count=60):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(count, 2)), columns=["a", "b"])
    return table, table["a"] + rng.normal(size=count)


def response(kind, y):
    return (y > 0).to_numpy() if kind is SpikeSlabClassifier else np.abs(y.round()).to_numpy()


@pytest.mark.filterwarnings("ignore:X is constant")
@pytest.mark.filterwarnings("ignore:no row of level")
@pytest.mark.filterwarnings("ignore:column.* separate")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "rare",
    [
        lambda n: (np.arange(n) == 7) * 1.0,
        lambda n: np.arange(n) == 7,
        lambda n: 3.0 + (np.arange(n) == 7),
        lambda n: pd.Categorical(np.where(np.arange(n) == 7, "rare", "usual"), ["rare", "usual"]),
        lambda n: pd.Categorical(
            np.where(np.arange(n) == 7, "rare", np.resize(["u", "v"], n)), ["rare", "u", "v"]
        ),
        lambda n: np.where(np.arange(n) == 7, "rare", "usual"),
        lambda n: np.where(np.arange(n) == 7, "rare", np.resize(["u", "v"], n)),
    ],
    ids=["dummy", "truth", "shifted", "two levels", "three levels", "two texts", "three texts"],
)
def test_scores_of_folds_are_finite(kind, rare):
    table, y = frame()
    scores = cross_val_score(
        kind(random_state=0), table.assign(rare=rare(len(table))), response(kind, y), cv=5
    )
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 7.0, 1e200])
@pytest.mark.parametrize("arguments", [{}, {"fit_intercept": False}, {"standardize": False}], ids=str)
def test_a_constant_column_changes_nothing_but_its_own_row(kind, value, arguments):
    table, y = frame()
    y = response(kind, y)
    arguments = {"inclusion": 0.3, "random_state": 0, **arguments}
    without = kind(**arguments).fit(table, y)
    with pytest.warns(ConstantColumnWarning, match=re.escape(f"constant in column 'c', {value:g} in every")):
        fit = kind(**arguments).fit(table.assign(c=value), y)
    near = 1e-9 if kind is SpikeSlabRegressor else 1e-4  # which models are refined is decided by their share
    np.testing.assert_allclose(fit.pip_, [*without.pip_, 0.3], rtol=near)
    np.testing.assert_allclose(fit.coef_, [*without.coef_, 0.0], rtol=near)
    assert fit.log_evidence_ == pytest.approx(without.log_evidence_, abs=near)
    row = fit.summary().loc["c"]
    assert row[["mean", "sd", "cond_mean", "cond_sd", "cond_hdi_low", "cond_hdi_high"]].eq(0).all()
    new = table[:3].assign(c=value + 5.0)
    np.testing.assert_allclose(
        fit.predict(new), kind(**arguments).fit(table, y).predict(table[:3]), rtol=0.05
    )


def test_a_column_that_is_constant_but_for_rounding():
    table, y = frame()
    with pytest.warns(ConstantColumnWarning, match="constant in column 'c'"):
        fit = SpikeSlabRegressor(random_state=0).fit(table.assign(c=7.0 + 1e-14 * table["b"]), y)
    assert fit.coef_[2] == 0.0


def test_a_constant_without_intercept_and_standardising_is_a_column():
    table, y = frame()
    fit = SpikeSlabRegressor(fit_intercept=False, standardize=False, random_state=0).fit(
        table.assign(c=2.0), y + 6.0
    )
    assert fit.coef_[2] == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_is_the_same_in_every_row_is_left_out_as_a_constant(kind):
    table, y = frame()
    y = response(kind, y)
    without = kind(inclusion=0.3, random_state=0).fit(table, y)
    with pytest.warns(ConstantColumnWarning, match=r"constant in column 'site\[south\]'"):
        fit = kind(inclusion=0.3, random_state=0).fit(table.assign(site="south"), y)
    near = 1e-9 if kind is SpikeSlabRegressor else 1e-4
    np.testing.assert_allclose(fit.pip_, [*without.pip_, 0.3], rtol=near)
    assert fit.coef_[2] == 0.0


def test_new_text_is_scored_at_the_mean_of_the_other_levels_and_refused_by_predictions():
    table, y = frame()
    texts = table.assign(g=np.resize(["u", "v", "w"], len(table)))
    fit = SpikeSlabRegressor(random_state=0).fit(texts, y)
    declared = texts.assign(g=pd.Categorical(texts["g"], ["u", "v", "w", "new"]))
    same = SpikeSlabRegressor(random_state=0).fit(declared, y)
    new = texts[:9].assign(g="new")
    with pytest.raises(ValueError, match="'new' in column 'g', row 0: a level that no row had in fit"):
        fit.predict(new)
    with pytest.warns(UnseenLevelWarning, match="no row of level 'new'"):
        score = fit.score(new, y[:9])
    with pytest.warns(UnseenLevelWarning):
        assert score == pytest.approx(same.score(new, y[:9]))
    with pytest.raises(ValueError, match=r"1\.0 in column 'g', row 0: a level that no row had"):
        fit.score(texts[:9].assign(g=1.0), y[:9])


@pytest.mark.parametrize("weights", [None, np.arange(5.0)])
def test_counts_that_are_all_the_same_have_a_score(weights):
    table, y = frame()
    fit = SpikeSlabPoissonRegressor(random_state=0).fit(table, np.abs(y.round()))
    assert fit.score(table[:5], np.ones(5), weights) == 0.0
    assert fit.score(table[:5], np.zeros(5)) == 0.0


# ---- a response that is constant -------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::l0bayes.selection.trust.noise_conflict.NoisePriorWarning")
@pytest.mark.parametrize("value", [1.0, 0.1])
@pytest.mark.parametrize("arguments", [{}, {"standardize": False}], ids=str)
def test_a_constant_response_at_every_sample_size(value, arguments):
    for n in range(2, 64, 3):
        x = np.random.default_rng(0).normal(size=(n, 1))
        y = np.full(n, value) * (1.0 + 1e-16 * np.arange(n))
        with pytest.warns(ConstantColumnWarning, match="y is constant"):
            fit = SpikeSlabRegressor(random_state=0, **arguments).fit(x, y)
        assert np.isfinite(fit.pip_).all()
        np.testing.assert_allclose(fit.predict(x), value, rtol=0.02)
