"""A row of weight w counts as w rows like it: in products of centred columns, and in what fills gaps."""

import numpy as np
import pandas as pd
import pytest

from l0bayes.apps.select.formulas import apply_formula
from l0bayes.apps.select.row_columns import RowColumns
from l0bayes.estimators import SpikeSlabRegressor
from l0bayes.likelihoods import Binomial


def table(rng, rows=24):
    return pd.DataFrame(
        {
            "y": rng.normal(size=rows),
            "a": rng.normal(size=rows),
            "b": rng.exponential(size=rows),
            "g": rng.choice(["u", "v", "w"], rows),
            "weight": rng.integers(0, 4, rows),
        }
    )


def repeated(frame):
    return frame.loc[frame.index.repeat(frame["weight"])].reset_index(drop=True)


@pytest.mark.parametrize("right", ["a * b", "g * a", "g * b + a:b", "a + b + {a**2}"])
def test_columns_are_those_of_repeated_rows(right):
    frame = table(np.random.default_rng(0))
    once = apply_formula(frame, f"y ~ {right}", "gaussian", row_columns=RowColumns(weights="weight"))
    rows = apply_formula(repeated(frame), f"y ~ {right}", "gaussian")
    assert list(once.x.columns) == list(rows.x.columns)
    many = frame["weight"].to_numpy()
    assert np.repeat(once.x.to_numpy(), many, axis=0) == pytest.approx(rows.x.to_numpy(), abs=1e-12)
    for name, value in rows.centres.items():
        assert once.centres[name] == pytest.approx(value)


@pytest.mark.parametrize("missing", ["a", "b", "g"])
def test_gaps_are_filled_alike(missing):
    frame = table(np.random.default_rng(1))
    frame["g"] = np.where(frame["weight"] > 1, "v", "u")  # more rows are "u", more weight is "v"
    once = apply_formula(frame, "y ~ a * b + g", "gaussian", row_columns=RowColumns(weights="weight"))
    rows = apply_formula(repeated(frame), "y ~ a * b + g", "gaussian")
    new = frame.drop(columns=missing).head(3)
    with pytest.warns(UserWarning, match="at the mean of the fit"):
        one = once.coding.encode(new, fill="mean")
    with pytest.warns(UserWarning, match="at the mean of the fit"):
        other = rows.coding.encode(new, fill="mean")
    assert one == pytest.approx(other, abs=1e-12)


def test_rows_without_trials_have_no_say():
    rng = np.random.default_rng(2)
    frame = table(rng).assign(trials=lambda all_: all_["weight"], k=0)
    frame["k"] = rng.binomial(frame["trials"], 0.5)
    once = apply_formula(frame, "k ~ a * b", Binomial(1), row_columns=RowColumns(trials="trials"))
    some = frame[frame["trials"] > 0]
    rows = apply_formula(some, "k ~ a * b", Binomial(1), row_columns=RowColumns(trials="trials"))
    assert once.x.loc[some.index].to_numpy() == pytest.approx(rows.x.to_numpy(), abs=1e-12)


def test_probabilities_of_products_are_those_of_repeated_rows():
    frame = table(np.random.default_rng(3), 40)
    frame["y"] += 0.7 * frame["a"] + 0.4 * frame["a"] * frame["b"]
    once = apply_formula(frame, "y ~ a * b + g", "gaussian", row_columns=RowColumns(weights="weight"))
    rows = apply_formula(repeated(frame), "y ~ a * b + g", "gaussian")
    one = SpikeSlabRegressor().fit_coded(once.coded, once.y.to_numpy(), once.rows.weights, once.rows.terms)
    other = SpikeSlabRegressor().fit_coded(rows.coded, rows.y.to_numpy())
    assert one.pip_ == pytest.approx(other.pip_, abs=1e-9)
