"""The conformance suite of callbacks on those of the package, and on some that break it."""

from pathlib import Path

import pytest

from l0bayes.infer import Callback, EarlyStopping
from l0bayes.infer.loop.collapse import CollapseGuard
from l0bayes.infer.loop.function_callback import FunctionCallback
from l0bayes.testing.callback_suite import CallbackSuite


class TestCallback(CallbackSuite):
    def callback(self):
        return Callback()


class TestEarlyStopping(CallbackSuite):
    def callback(self):
        return EarlyStopping(patience=2, min_rise=1e6)


@pytest.mark.filterwarnings("ignore::l0bayes.infer.CollapseWarning")
class TestCollapseGuard(CallbackSuite):
    def callback(self):
        return CollapseGuard()


class TestFunctionCallback(CallbackSuite):
    def callback(self):
        return FunctionCallback(lambda history: history.step[-1])


class Counter(Callback):
    """Ends the run at its tenth step. It does not begin anew, and keeps no state."""

    def __init__(self):
        self.count = 0

    def after_step(self, run):
        self.count += 1
        if self.count == 10:
            run.stop("counted")


class Breaking(CallbackSuite):
    """Not collected: a suite that must fail."""

    def callback(self):
        return Counter()


def test_a_callback_that_does_not_begin_anew_is_found():
    with pytest.raises(AssertionError):
        Breaking().test_an_object_that_has_served_is_as_good_as_a_new_one()


def test_a_callback_that_does_not_keep_its_state_is_found(tmp_path: Path):
    with pytest.raises(AssertionError):
        Breaking().test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path)
