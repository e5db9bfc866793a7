"""What functions of formulas learn from rows they learn from rows of weight w as from w rows like them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from l0bayes.apps.select.formulas import apply_formula
from l0bayes.apps.select.prediction.formula_coding import FormulaCoding
from l0bayes.apps.select.row_columns import RowColumns
from l0bayes.apps.select.weighted_transforms import weighted_quantiles
from l0bayes.estimators import SpikeSlabRegressor
from l0bayes.likelihoods import Binomial
from tests.apps.select.test_weights_are_rows import repeated

WEIGHTED = RowColumns(weights="weight")
TERMS = [
    "bs(a, df=5)",
    "bs(a, df=6, degree=2, include_intercept=True)",
    "bs(a, 5, extrapolation='clip', lower_bound=-0.8, upper_bound=0.9)",
    "bs(a, df=7, extrapolation='extend', lower_bound=-0.8)",
    "bs(a, knots=[0.0, 0.5])",
    "cs(a, df=4)",
    "cr(a, df=5, constraints='center')",
    "cr(a, df=5, constraints='center', lower_bound=-0.8, extrapolation='clip')",
    "cc(b, df=4)",
    "ns(a, df=3)",
    "ns(a, 4, constraints=None)",
    "poly(a, 3)",
    "poly(a, 2, raw=True)",
    "scale(a):scale(b, ddof=0)",
    "center(a):b",
    "standardize(a):{a**2}",
    "log(b)",
    "I(exp(scale(a)) + center(b)**2)",
    "bs(a, df=4):g",
    "bs(scale(a), df=4)",
    "C(g):poly(b, 2)",
]


def table(seed, rows=40):
    """A level, and the ends of both columns, have rows of weight 0 alone."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=rows),
            "a": rng.normal(size=rows),
            "b": rng.exponential(size=rows) + 0.1,
            "g": rng.choice(["u", "v", "w"], rows),
            "weight": rng.integers(0, 4, rows),
        }
    )
    frame.loc[[0, 7, rows - 1], "weight"] = 0
    frame.loc[0, ["a", "b"]] = [-9.0, 20.0]
    frame.loc[rows - 1, "a"] = 9.0
    frame.loc[7, "g"] = "seen by none"
    return frame


def kept(coding):
    """As it is after it was written and read."""
    return FormulaCoding.of_state(coding.state())


@pytest.mark.parametrize("term", TERMS)
def test_columns_are_those_of_repeated_rows(term):
    frame = table(0)
    once = apply_formula(frame, f"y ~ {term} + b", "gaussian", row_columns=WEIGHTED)
    rows = apply_formula(repeated(frame), f"y ~ {term} + b", "gaussian")
    assert list(once.x.columns) == list(rows.x.columns)
    many = frame["weight"].to_numpy()
    assert np.repeat(once.x.to_numpy(), many, axis=0) == pytest.approx(rows.x.to_numpy(), abs=1e-11)
    new = frame[frame["weight"] > 0].head(5)
    assert kept(once.coding).encode(new) == pytest.approx(once.x.loc[new.index].to_numpy(), abs=1e-11)


@pytest.mark.parametrize("term", ["bs(a, df=5)", "cr(a, df=4) + poly(b, 2)", "ns(a, df=3) + g", "scale(a):b"])
def test_probabilities_are_those_of_repeated_rows(term):
    frame = table(1)
    frame["y"] += np.sin(2.0 * frame["a"])
    found = []
    for one, columns in ((frame, WEIGHTED), (frame[frame["weight"] > 0], WEIGHTED), (repeated(frame), None)):
        made = apply_formula(one, f"y ~ {term}", "gaussian", row_columns=columns)
        fit = SpikeSlabRegressor().fit_coded(made.coded, made.y.to_numpy(), made.rows.weights)
        found.append(dict(zip(made.x.columns, fit.pip_, strict=True)))
    assert found[0] == pytest.approx(found[1], abs=1e-10)
    assert found[0] == pytest.approx(found[2], abs=1e-10)


def test_a_response_is_scaled_by_weight():
    frame = table(2)
    once = apply_formula(frame, "scale(y) ~ a", "gaussian", row_columns=WEIGHTED)
    rows = apply_formula(repeated(frame), "scale(y) ~ a", "gaussian")
    assert np.repeat(once.y.to_numpy(), frame["weight"]) == pytest.approx(rows.y.to_numpy(), abs=1e-12)


def test_rows_without_trials_have_no_say():
    frame = table(3).assign(k=0)
    frame["k"] = np.random.default_rng(3).binomial(frame["weight"], 0.5)
    some = frame[frame["weight"] > 0]
    once, rows = (
        apply_formula(one, "k ~ bs(a, df=5)", Binomial(1), row_columns=RowColumns(trials="weight"))
        for one in (frame, some)
    )
    assert once.x.loc[some.index].to_numpy() == pytest.approx(rows.x.to_numpy(), abs=1e-11)


@pytest.mark.parametrize("unit", [1.0, 0.5, 1 / 40, 3.0])
def test_equal_weights_change_no_knots_of_shares(unit):
    frame = table(4).assign(weight=unit, g="u")
    once = apply_formula(frame, "y ~ bs(a, df=6)", "gaussian", row_columns=WEIGHTED)
    plain = apply_formula(frame if unit <= 1.0 else pd.concat([frame] * 3), "y ~ bs(a, df=6)", "gaussian")
    assert once.x.to_numpy() == pytest.approx(plain.x.to_numpy()[:40], abs=1e-11)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("values", [4, 30])
def test_quantiles_are_those_of_repeated_rows(seed, values):
    rng = np.random.default_rng(seed)
    x, counts = rng.choice(rng.normal(size=values), 50), rng.integers(1, 6, 50)
    shares = np.concatenate([np.linspace(0.0, 1.0, 12), rng.uniform(size=20)])
    found = weighted_quantiles(x, counts.astype(float), shares)
    np.testing.assert_allclose(found, np.quantile(np.repeat(x, counts), shares), rtol=1e-14, atol=1e-15)


def test_quantiles_move_with_weights():
    x, shares = np.arange(5.0), np.array([0.3, 0.5])
    near = [weighted_quantiles(x, np.array([1.0, w, 2.0, 1.0, 1.0]), shares) for w in (1.999999, 2.000001)]
    assert near[0] == pytest.approx(near[1], abs=1e-4)
    even = weighted_quantiles(x, np.full(5, 0.01), np.array([0.0, 0.25, 1.0]))
    assert even == pytest.approx([0.0, 1.0, 4.0])


@pytest.mark.parametrize("term", ["I(a - a.mean())", "{(b > b.median()) * a}", "I(b / b.max())"])
def test_what_counts_each_row_once_is_refused_under_weights(term):
    frame = table(5)
    apply_formula(frame.assign(weight=1), f"y ~ {term}", "gaussian", row_columns=WEIGHTED)
    with pytest.raises(ValueError, match=r"from all rows, each counted once, and --weights.*use center\(\)"):
        apply_formula(frame, f"y ~ {term}", "gaussian", row_columns=WEIGHTED)


@pytest.mark.parametrize(
    "term",
    ["ns(a, df=3)", "ns(log(b), df=4)", "ns(a, df=2):g", "cs(a, df=3, constraints='center')", "cc(b, df=3)"],
)
def test_a_spline_has_a_value_for_other_rows_and_the_name_that_was_typed(term):
    frame = table(6)
    made = apply_formula(frame, f"y ~ {term}", "gaussian")
    assert made.gates == [term]
    assert all(name.startswith(term.split(":")[0]) for name in made.x.columns)
    assert made.formula == f"y ~ {term}"
    state = json.loads(json.dumps(replace(made.coding).state()))
    assert FormulaCoding.of_state(state).encode(frame.head(7)) == pytest.approx(made.x.head(7).to_numpy())
