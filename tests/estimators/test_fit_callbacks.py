"""scikit-learn's callbacks are told of a fit part by part."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from l0bayes.estimators import SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.estimators.fit_callbacks import PARTS

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
Y = X[:, 0] + RNG.normal(size=30)

needs_callbacks = pytest.mark.skipif(VERSION < (1, 9), reason="scikit-learn has callbacks from 1.9 on")


class Notes:
    """A callback that writes down what it is told."""

    max_propagation_depth = None

    def __init__(self, stop=False):
        self.stop, self.lines = stop, []

    def setup(self, estimator, context):
        self.lines.append("setup")

    def teardown(self, estimator, context):
        self.lines.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, y=None):
        assert y is None or len(y) > 0  # searches tell their own tasks without data
        self.lines.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        ready = "" if fitted_estimator is None else f" with {len(fitted_estimator.predict(X))} predictions"
        self.lines.append(f"end {context.task_name}{ready}")
        return self.stop and context.task_name == "part"


@needs_callbacks
@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (SpikeSlabRegressor(), Y),
        (SpikeSlabRegressor(engine="gibbs", random_state=0), Y),
        (SpikeSlabRegressor(engine="wide", random_state=0), Y),
        (SpikeSlabPoissonRegressor(), np.abs(Y).round()),
    ],
    ids=["exact", "gibbs", "wide", "counts"],
)
def test_a_fit_is_a_task_of_twenty_parts(estimator, y):
    notes = Notes()
    fitted = clone(estimator).set_callbacks(notes).fit(X, y)
    parts = ["begin part", "end part"] * PARTS
    assert notes.lines == ["setup", "begin fit", *parts, "end fit with 30 predictions", "teardown"]
    np.testing.assert_array_equal(fitted.pip_, clone(estimator).fit(X, y).pip_)


@needs_callbacks
def test_callbacks_of_a_search_reach_its_estimators():
    notes = Notes()
    search = GridSearchCV(SpikeSlabRegressor(), {"inclusion": [0.2, 0.5]}, cv=2)
    search.set_callbacks(notes).fit(X, Y)
    assert notes.lines.count("begin part") == (2 * 2 + 1) * PARTS


@needs_callbacks
def test_what_is_in_memory_after_a_failed_fit_takes_the_next():
    notes = Notes()
    estimator = SpikeSlabRegressor().set_callbacks(notes)
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(X, np.full(30, np.nan))
    assert notes.lines[-1] == "teardown"
    estimator.fit(X, Y)
    assert notes.lines.count("teardown") == 2


@needs_callbacks
def test_a_request_to_stop_is_declined_by_name():
    estimator = SpikeSlabRegressor().set_callbacks(Notes(stop=True))
    with pytest.warns(UserWarning, match="a callback asked the fit to stop") as told:
        estimator.fit(X, Y)
    assert len(told) == 1
    assert estimator.pip_[0] > 0.9


@pytest.mark.skipif(VERSION >= (1, 9), reason="scikit-learn has callbacks")
def test_older_versions_are_told_what_is_needed():
    assert SpikeSlabRegressor().set_callbacks() is not None
    with pytest.raises(NotImplementedError, match=r"scikit-learn 1\.9"):
        SpikeSlabRegressor().set_callbacks(Notes())
