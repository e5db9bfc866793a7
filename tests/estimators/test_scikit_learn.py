"""scikit-learn's own checks, and its habits with frames, pipelines and copies."""

import inspect
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import estimator_checks_generator

from l0bayes import SpikeSlabClassifier, SpikeSlabGLM, SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.likelihoods import Poisson

KINDS = [SpikeSlabRegressor, SpikeSlabClassifier, SpikeSlabPoissonRegressor]
WEIGHTS = "check_sample_weight_equivalence_on_dense_data"


def checks():
    # The checks' responses are not whole.
    for kind, given in (*((kind, {}) for kind in KINDS), (SpikeSlabGLM, {"likelihood": Poisson(False)})):
        for estimator, check in estimator_checks_generator(kind(**given)):
            name = getattr(check, "func", check).__name__
            if name == WEIGHTS:
                # 30 columns of 15 rows, which are sampled: half a minute where the noise is unknown.
                known = {"noise_scale": 1.0} if kind is SpikeSlabRegressor else {}
                estimator = kind(**given, **known)
            yield pytest.param(estimator, check, id=f"{kind.__name__}-{name}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(40, 3)), columns=["age", "bmi", "dose"])
    return table, 2.0 * table["bmi"] + rng.normal(size=40)


def test_frames_of_pandas_and_polars_give_the_same(frame):
    table, y = frame
    one = SpikeSlabRegressor(random_state=0).fit(table, y)
    polars = pl.DataFrame({name: table[name].to_numpy() for name in table})
    other = SpikeSlabRegressor(random_state=0).fit(polars, pl.Series(y.to_numpy()))
    assert list(one.feature_names_in_) == list(other.feature_names_in_) == ["age", "bmi", "dose"]
    np.testing.assert_array_equal(one.pip_, other.pip_)
    np.testing.assert_allclose(other.predict(polars), one.predict(table))
    pd.testing.assert_frame_equal(one.summary(), other.summary())
    with pytest.raises(ValueError, match="feature names should match"):
        one.predict(table[["dose", "bmi", "age"]])
    with pytest.raises(ValueError, match="NaN in column 'bmi', first in row 0"):
        one.predict(table.assign(bmi=np.nan))
    wrong = polars.with_columns(pl.Series("bmi", [f"patient {row}" for row in range(len(polars))]))
    with pytest.raises(ValueError, match="text in column 'bmi'"):
        SpikeSlabRegressor().fit(wrong, y)


def test_pipelines_and_cross_validation(frame):
    table, y = frame
    line = make_pipeline(PolynomialFeatures(2, include_bias=False), SpikeSlabRegressor(random_state=0))
    assert cross_val_score(line, table, y, cv=3).mean() > 0.5
    labels = np.where(y + np.random.default_rng(1).normal(scale=2.0, size=40) > 0, "up", "down")
    # Draws of the exact posterior move single labels across 0.5; the base rate's score is -0.69.
    classifier = SpikeSlabClassifier(random_state=0)
    assert cross_val_score(classifier, table, labels, cv=2).mean() >= 0.6
    assert cross_val_score(classifier, table, labels, cv=2, scoring="neg_log_loss").mean() > -0.64


@pytest.mark.parametrize("kind", KINDS)
def test_copies(kind, frame):
    table, y = frame
    target = (y > 0).astype(int)
    estimator = kind(inclusion=(1.0, 3.0), random_state=0)
    assert clone(estimator).get_params() == estimator.get_params()
    fit = estimator.set_params(slab_scale=0.5).fit(table, target)
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.predict(table), fit.predict(table))
    pd.testing.assert_frame_equal(again.summary(), fit.summary())
    with pytest.raises(NotFittedError):
        clone(fit).summary()


def test_arguments_are_the_ones_promised():
    """By name and in order, for those who give them by place; one constructor keeps them for all."""
    regressor = [
        "inclusion", "slab_scale", "slab_scaled_by_noise", "noise_scale", "intercept_scale", "fit_intercept",
        "standardize", "groups", "gate_law", "engine", "restarts", "random_state",
    ]  # fmt: skip
    rest = [name for name in regressor if name not in ("slab_scaled_by_noise", "noise_scale")]
    promised = (regressor, [*rest, "likelihood"], rest, ["likelihood", *rest])
    promised = tuple([*names, "options"] for names in promised)
    promised[0].extend(["noise_prior", "slab", "g", "rscale"])
    promised = tuple([*names, "always_in", "heredity", "unseen"] for names in promised)
    promised[0].append("slab_scale_prior")
    for kind, names in zip((*KINDS, SpikeSlabGLM), promised, strict=True):
        assert list(inspect.signature(kind).parameters) == names
        given = {name: object() for name in names}
        assert kind(*given.values()).get_params() == given
        assert repr(kind(groups=["a", "b"])) == f"{kind.__name__}(groups=['a', 'b'])"
