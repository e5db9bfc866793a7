"""What several fits refuse before they start, and levels that only some of them have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from l0bayes import SpikeSlabClassifier, SpikeSlabCountRegressor, SpikeSlabRegressor
from l0bayes.estimators.many import fit_folds, fit_imputations, fit_responses, fit_restarts

GENERATOR = np.random.default_rng(0)
X = pd.DataFrame(GENERATOR.normal(size=(30, 3)), columns=list("abc"))
Y = X["a"].to_numpy() + GENERATOR.normal(size=30)
EXACT = SpikeSlabRegressor(engine="exact", random_state=5)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([X, X.rename(columns={"a": "z"})], "beside the first, table 2 lacks 'a' and has 'z'"),
        ([X, X, X.drop(columns="b")], "table 3 lacks 'b'"),
        ([X, X.assign(d=1.0)], "table 2 has 'd'"),
        ([X.to_numpy(), X.to_numpy()[:, :2]], "table 2 lacks 'x2'"),
        ([X, X.to_numpy()], "table 2 lacks 'a', 'b', 'c' and has 'x0', 'x1', 'x2'"),
    ],
    ids=["renamed", "fewer", "more", "arrays", "frame and array"],
)
def test_imputed_tables_have_the_same_columns(tables, message):
    with pytest.raises(ValueError, match=message):
        fit_imputations(EXACT, tables, Y)


def test_columns_in_another_order_are_put_in_order():
    own = SpikeSlabRegressor(inclusion=[0.1, 0.5, 0.9], random_state=0)  # by the places of columns
    found = fit_imputations(own, [X, X[["c", "b", "a"]]], Y).pips()
    np.testing.assert_allclose(found["imputation 1"], found["imputation 2"], rtol=1e-12)


def test_a_level_that_one_table_has_is_pooled_by_its_factor():
    kind = np.where(np.arange(30) % 3 == 0, "u", "v")
    other = kind.copy()
    other[1] = "w"
    found = fit_imputations(EXACT, [X.assign(k=kind), X.assign(k=other)], Y)
    tables = [one.summary() for one in found.estimators]
    pooled = found.pooled()
    for level in ("k[u]", "k[v]", "k[w]"):  # one gate, one PIP in a fit
        assert pooled.loc[level, "pip"] == pytest.approx(
            np.mean([table.loc["k[u]", "pip"] for table in tables])
        )
    assert pooled["fits"].loc[["a", "k[u]", "k[w]"]].tolist() == [2, 2, 1]
    assert pooled.loc["k[w]", "mean"] == pytest.approx(tables[1].loc["k[w]", "mean"])
    assert pooled.loc["k[u]", "mean"] == pytest.approx(
        np.mean([table.loc["k[u]", "mean"] for table in tables])
    )
    assert found.pips().notna().all(axis=None)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: fit_folds(EXACT, X, Y, offset=Y[:5]), ValueError, "offset has 5 values for the 30 rows"),
        (lambda: fit_folds(EXACT, X, Y[:9]), ValueError, "y has 9 values for the 30 rows of X"),
        (lambda: fit_responses(EXACT, X, {"u": Y[:9]}), ValueError, "response 'u' has 9 values"),
        (
            lambda: fit_restarts(EXACT, X, Y, exposure=abs(Y)),
            TypeError,
            "SpikeSlabRegressor does not take exposure: for each row it takes sample_weight, offset",
        ),
        (
            lambda: fit_folds(SpikeSlabClassifier(), X, Y > 0, exposure=abs(Y)),
            TypeError,
            "does not take exposure",
        ),
        (lambda: fit_restarts(object(), X, Y), TypeError, "an estimator of l0bayes.*got object"),
        (lambda: fit_folds(SpikeSlabRegressor, X, Y), TypeError, "got the class SpikeSlabRegressor"),
        (
            lambda: fit_restarts(SpikeSlabRegressor(random_state=np.random.default_rng(0)), X, Y),
            ValueError,
            "random_state .* got a Generator",
        ),
        (lambda: fit_imputations(EXACT, [X, X], Y, n_jobs=0), ValueError, "n_jobs must be .* got 0"),
    ],
    ids=["offset", "y", "response", "exposure", "of folds", "object", "class", "generator", "n_jobs"],
)
def test_raw_errors_are_said_in_words(ask, error, message):
    with pytest.raises(error, match=message):
        ask()


def test_a_fold_that_cannot_be_fitted_is_named():
    counts = np.r_[np.zeros(15, int), np.ones(15, int)]
    broken = X.assign(a=np.where(np.arange(30) < 15, np.nan, X["a"]))
    with pytest.raises(ValueError, match=r"fold 2 failed: X holds NaN in column 'a'") as caught:
        fit_folds(
            SpikeSlabCountRegressor(), broken, counts, cv=[(np.arange(15, 30),) * 2, (np.arange(15),) * 2]
        )
    assert "X holds NaN" in str(caught.value.__cause__)


@pytest.mark.parametrize("table", [X, X.to_numpy()], ids=["frame", "array"])
def test_one_table_is_no_list_of_them(table):
    with pytest.raises(TypeError, match="tables must be a list of imputed tables, got one"):
        fit_imputations(EXACT, table, Y)


def test_tables_may_be_stacked():
    stacked = np.stack([X.to_numpy(), X.to_numpy()])
    assert len(fit_imputations(EXACT, stacked, Y).pips().columns) >= 2
