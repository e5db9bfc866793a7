"""A column that is constant in the rows at hand, such as those of a fold, says nothing and breaks nothing."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_val_score

from l0bayes import SpikeSlabClassifier, SpikeSlabPoissonRegressor, SpikeSlabRegressor
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
    ],
    ids=["dummy", "truth", "shifted", "two levels", "three levels"],
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
