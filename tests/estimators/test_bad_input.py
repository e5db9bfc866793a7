"""Every wrong argument and column is named before anything is computed."""

import numpy as np
import pandas as pd
import pytest

import l0bayes.estimators.judged_posterior as base
from l0bayes import SpikeSlabClassifier, SpikeSlabGLM, SpikeSlabPoissonRegressor, SpikeSlabRegressor

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(12, 3)), columns=["age", "bmi", "dose"])
Y = RNG.normal(size=12)


@pytest.fixture(autouse=True)
def _no_work(monkeypatch):
    def refuse(*args, **keywords):
        raise AssertionError("work was started")

    monkeypatch.setattr(base, "infer_gates", refuse)


def changed(column, row, value, dtype=float):
    frame = X.astype(object).copy()
    frame.iloc[row, X.columns.get_loc(column)] = value
    return frame.astype(dtype)


TABLES = {
    "constant": (X.assign(age=1.0, bmi=7.0, dose=2.0), r"constant in every column, such as 'age', 1"),
    "twice": (X.set_axis(["age", "bmi", "age"], axis=1), r"more than one column named 'age'"),
    "nan": (changed("dose", 4, np.nan), r"NaN in column 'dose', first in row 4"),
    "inf": (changed("bmi", 2, np.inf), r"inf in column 'bmi', first in row 2"),
    "text": (changed("bmi", 3, "high", object), r"text in column 'bmi', 'high' in row 3"),
    "dates": (X.assign(bmi=pd.Timestamp("2020-01-01")), r"dates or times in column 'bmi'"),
    "no column": (X[[]], r"0 feature"),
    "no row": (X[:0], r"0 sample"),
    "text in an array": (changed("bmi", 3, "high", object).to_numpy(), r"text in column 1, 'high' in row 3"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name):
    table, message = TABLES[name]
    with pytest.raises(ValueError, match=message):
        SpikeSlabRegressor().fit(table, Y[: len(table)])


@pytest.mark.parametrize("scale", [1e160, 1e-160])
def test_squares_beyond_double_precision(scale):
    """Unscaled, their sums would be infinite or 0, and the probabilities those of other data."""
    with pytest.raises(ValueError, match=r"y has numbers of size .* give it in other units"):
        SpikeSlabRegressor(standardize=False).fit(X, Y * scale)
    with pytest.raises(ValueError, match=r"x has numbers of size .* in column 1, .* in other units"):
        SpikeSlabClassifier(standardize=False).fit(X.assign(bmi=X.bmi * scale), Y > 0)


ARGUMENTS = {
    "inclusion too large": ({"inclusion": 1.5}, r"inclusion must lie strictly between 0 and 1, got 1.5"),
    "inclusion zero": ({"inclusion": 0.0}, r"inclusion must lie strictly between 0 and 1"),
    "inclusion of wrong length": ({"inclusion": [0.1, 0.2]}, r"inclusion must be .* 3 columns"),
    "inclusion of one column": ({"inclusion": [0.1, 0.2, -1.0]}, r"inclusion must lie strictly .* got -1"),
    "inclusion nan": ({"inclusion": float("nan")}, r"inclusion must lie strictly"),
    "inclusion text": ({"inclusion": "half"}, r"inclusion must hold numbers"),
    "beta of three": ({"inclusion": (1.0, 1.0, 1.0)}, r"inclusion as a tuple is the pair"),
    "beta negative": ({"inclusion": (1.0, -1.0)}, r"inclusion = \(a, b\) must be a positive number"),
    "inclusion within a group": (
        {"inclusion": [0.1, 0.2, 0.3], "groups": [0, 0, 1]},
        r"inclusion must be the same for all columns of a group",
    ),
    "slab": ({"slab_scale": 0.0}, r"slab_scale must be a positive number, got 0.0"),
    "slab length": ({"slab_scale": [1.0]}, r"slab_scale must be a number or one for each of 3 columns"),
    "intercept in words": ({"fit_intercept": "no"}, r"fit_intercept must be True or False, got 'no'"),
    "standardize in words": ({"standardize": "no"}, r"standardize must be True or False, got 'no'"),
    "standardize as number": ({"standardize": 0}, r"standardize must be True or False, got 0"),
    "slab too small": ({"slab_scale": 1e-300}, r"slab_scale must lie between 1e-100 and 1e\+100, got 1e-300"),
    "slab too large": ({"slab_scale": [1.0, 1e200, 1.0]}, r"slab_scale must lie between .* got 1e\+200"),
    "slab sign": ({"slab_scale": [1.0, -1.0, 1.0]}, r"slab_scale must be positive, got -1.0 for column 1"),
    "noise": ({"noise_scale": -1.0}, r"noise_scale must be a positive number, got -1.0"),
    "noise text": ({"noise_scale": "big"}, r"noise_scale must be a positive number, got 'big'"),
    "intercept": ({"intercept_scale": 0.0}, r"intercept_scale must be a positive number"),
    "engine": ({"engine": "hmc"}, r"engine must be one of auto, svi, exact, gibbs, wide; got 'hmc'"),
    "gate_law": ({"gate_law": "delta"}, r"gate_law must be one of hard_concrete, .*, bernoulli; got 'delta'"),
    "restarts": ({"restarts": 0}, r"restarts must be a whole number of at least 1, got 0"),
    "groups too short": ({"groups": [0, 1]}, r"groups must hold one label for each of 3 columns"),
    "groups missing": ({"groups": ["a", None, "a"]}, r"groups must label every column, got None for 'bmi'"),
    "groups unknown": ({"groups": {"a": ["age", "sex"]}}, r"groups do not fit .*'sex'"),
    "groups twice": ({"groups": {"a": ["age"], "b": ["age"]}}, r"groups do not fit .*'age'"),
    "groups word": ({"groups": "age"}, r"groups must be one label a column"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(name):
    arguments, message = ARGUMENTS[name]
    with pytest.raises(ValueError, match=message):
        SpikeSlabRegressor(**arguments).fit(X, Y)


RESPONSES = {
    "one class": (SpikeSlabClassifier, np.ones(12), r"y holds only one class, 1"),
    "three classes": (SpikeSlabClassifier, np.arange(12) % 3, r"Only binary classification is supported"),
    "negative count": (SpikeSlabPoissonRegressor, np.arange(12) - 1, r"y must hold counts.*-1 in row 0"),
    "no count": (SpikeSlabPoissonRegressor, np.zeros(12), r"y is 0 in every row"),
    "nan": (SpikeSlabRegressor, np.where(np.arange(12) == 3, np.nan, Y), r"y contains NaN"),
    "too short": (SpikeSlabRegressor, Y[:5], r"inconsistent numbers of samples"),
    "one class that counts": (SpikeSlabClassifier, np.arange(12) > 5, r"y holds only one class"),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_responses(name):
    kind, y, message = RESPONSES[name]
    weights = (np.arange(12) > 5).astype(float) if name.endswith("that counts") else None
    with pytest.raises(ValueError, match=message):
        kind().fit(X, y, sample_weight=weights)


WEIGHTS = {
    "negative": (-np.ones(12), r"sample_weight must be finite and not negative, got -1.0 in row 0"),
    "zero": (np.zeros(12), r"all weights are zero"),
    "short": (np.ones(3), r"sample_weight must have shape \(12,\)"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(name):
    weights, message = WEIGHTS[name]
    with pytest.raises(ValueError, match=message):
        SpikeSlabRegressor().fit(X, Y, sample_weight=weights)


def test_one_row():
    with pytest.raises(ValueError, match="1 sample"):
        SpikeSlabRegressor().fit(X[:1], Y[:1])


def test_a_column_of_zeros_is_refused_where_constants_are_not():
    plain = SpikeSlabRegressor(standardize=False, fit_intercept=False)
    with pytest.raises(ValueError, match="constant in every column, such as 'age', 0"):
        plain.fit(0.0 * X, Y)
    with pytest.raises(AssertionError, match="work was started"):
        plain.fit(X.assign(bmi=1.0), Y)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nope",
            r"one of student_t, bernoulli, poisson.*, or an object .*NegativeBinomial\(dispersion=0.5\)",
        ),
        ("gaussian", "'gaussian' by its name alone is not for this estimator: .*give a number"),
        ("binomial", "numbers of trials are not given"),
        ("cox", "use SpikeSlabCox for times and events"),
    ],
)
def test_a_likelihood_by_a_name_that_is_not_enough(name, message):
    with pytest.raises(ValueError, match=message):
        SpikeSlabGLM(name).fit(np.eye(4)[:, :2], np.arange(4))
