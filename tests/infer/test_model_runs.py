"""How often fit() runs the model before the first step: once to check it, once to capture it."""

import pytest

from l0bayes.guides import AutoJointGates
from l0bayes.infer import Callback
from tests.infer.costed import Costed
from tests.infer.costed import X as COLUMNS
from tests.infer.costed import Y as RESPONSE
from tests.infer.costed import guide_of as costed_guide
from tests.infer.fitting import X, Y, guide_of, regression, short


class Counter:
    """A model that counts its runs."""

    def __init__(self, model):
        self.model, self.runs = model, 0

    def __call__(self, x, y=None):
        self.runs += 1
        return self.model(x, y)


class CountedCosts(Costed):
    """A model with costs that counts its runs."""

    runs = 0

    def forward(self, x, y=None):
        self.runs += 1
        return super().forward(x, y)


class Runs(Callback):
    """Notes how often the model was run by the end of each step."""

    def __init__(self, model):
        self.model, self.seen = model, []

    def after_step(self, run):
        self.seen.append(self.model.runs)


# A step in eager mode runs the model once; a captured graph does not run it at all.
MODES = pytest.mark.parametrize(("mode", "after"), [("eager", [2, 3, 4]), ("graph", [2, 2, 2])])


@MODES
def test_a_plain_fit(mode, after):
    model = Counter(regression)
    guide = guide_of(model)
    model.runs = 0
    runs = Runs(model)
    short(model, guide, callbacks=[runs], compile=mode, num_particles=1)
    assert runs.seen == after


@MODES
def test_restarts(mode, after):
    model = Counter(regression)
    guide = guide_of(model)
    model.runs = 0
    runs = Runs(model)
    short(model, guide, callbacks=[runs], compile=mode, restarts=2)
    assert runs.seen == after + ([5, 6, 7] if mode == "eager" else after)


@MODES
@pytest.mark.filterwarnings("ignore::l0bayes.infer.TargetWarning")
@pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")
def test_a_target_and_the_forecast(mode, after):
    model = CountedCosts(penalty=1.0)
    guide = costed_guide(model)
    model.runs = 0
    runs = Runs(model)
    done = short(model, guide, (COLUMNS, RESPONSE), callbacks=[runs], compile=mode, target="macs:0.5")
    assert runs.seen == after
    assert "multiplier" in done.history.columns


@MODES
def test_gates_that_depend_on_one_another(mode, after):
    model = Counter(regression)
    guide = AutoJointGates(model, (X, Y))
    model.runs = 0
    runs = Runs(model)
    short(model, guide, callbacks=[runs], compile=mode)
    assert runs.seen == after
