"""Callbacks: when they are called, in which order, and what a checkpoint keeps of them."""

import re

import pytest
import torch

import l0bayes
from l0bayes.files.state_files import read_state
from l0bayes.infer import Callback, CheckpointError, DivergenceError, EarlyStopping, Minibatches
from tests.infer.costed import Costed
from tests.infer.costed import X as COLUMNS
from tests.infer.costed import Y as RESPONSE
from tests.infer.costed import guide_of as costed_guide
from tests.infer.fitting import X, Y, guide_of, regression, same_state, short, state_of


class Log(Callback):
    """Writes down every call."""

    def __init__(self, label="", calls=None):
        self.label, self.calls = label, [] if calls is None else calls

    def note(self, what, *more):
        self.calls.append((self.label + what, *more))

    def on_start(self, run):
        self.note("start", run.done)

    def before_step(self, run):
        self.note("before", run.done)

    def after_step(self, run):
        self.note("after", run.done)

    def on_record(self, run, record):
        assert run.history.step[-1] == record.step == run.done
        assert run.history.elbo[-1] == record.elbo
        self.note("record", record.step)

    def on_end(self, run):
        self.note("end", run.stopped)

    def on_finish(self, fit):
        self.note("finish", fit.best.stopped)


def test_the_order_of_the_calls():
    log = Log()
    short(steps=3, log_every=2, callbacks=[log])
    steps = [[("before", i), ("after", i + 1)] for i in range(3)]
    assert log.calls == [
        ("start", 0),
        *steps[0],
        *steps[1],
        ("record", 2),
        *steps[2],
        ("record", 3),
        ("end", "finished"),
        ("finish", "finished"),
    ]


def test_callbacks_are_called_in_the_order_given_and_end_in_reverse():
    calls = []
    first, second = Log("1 ", calls), Log("2 ", calls)
    short(steps=1, callbacks=[first, second])
    assert [what for what, *_ in calls] == [
        *("1 start", "2 start", "1 before", "2 before", "1 after", "2 after"),
        *("1 record", "2 record", "2 end", "1 end", "1 finish", "2 finish"),
    ]


def test_with_restarts_each_run_begins_anew_and_the_fit_ends_once():
    log = Log()
    short(steps=1, restarts=2, callbacks=[log])
    run = ["start", "before", "after", "record", "end"]
    assert [what for what, *_ in log.calls] == [*run, *run, "finish"]


def test_a_callback_sees_the_run():
    seen = {}

    class Look(Callback):
        def on_record(self, run, record):
            seen.update(vars(run), progress=run.progress, guide=run.guide, model=run.model)

    guide = guide_of()
    done = short(guide=guide, steps=4, log_every=4, seed=5, callbacks=[Look()])
    assert seen["guide"] is guide
    assert seen["model"] is regression
    assert (seen["progress"], seen["seed"], seen["steps"]) == (1.0, 5, 4)
    assert seen["history"] is done.history
    assert seen["settings"] == done.config
    assert isinstance(seen["optimizer"], torch.optim.Adam)


@pytest.mark.parametrize("method", ["before_step", "after_step", "on_record"])
def test_a_callback_ends_a_run_with_a_reason(method):
    class Stop(Callback):
        pass

    def stop(self, run, record=None):
        if run.done >= 3:
            run.stop("enough")

    setattr(Stop, method, stop)
    done = short(steps=20, log_every=4, callbacks=[Stop()])
    assert done.best.stopped == "enough"
    assert done.history.step == {"before_step": [4], "after_step": [3], "on_record": [4]}[method]
    assert f"enough after {done.history.step[-1]} steps" in repr(done)


def test_early_stopping_is_a_callback():
    rule = EarlyStopping(patience=3, min_rise=1e6)
    one, other = short(steps=20, early_stopping=rule), short(steps=20, callbacks=[rule])
    assert one.history == other.history
    assert one.best.stopped == other.best.stopped == "converged"


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"step": -1.0}, ValueError, "'step' is one that every history has"),
        ({"elbo": 0.0}, ValueError, "'elbo' is one that every history has"),
        ({"count": "x"}, TypeError, "numbers by name; got 'count': 'x'"),
        ({1: 2.0}, TypeError, "numbers by name; got 1: 2.0"),
        ([1.0], TypeError, "numbers by name, a mapping; got list"),
    ],
)
def test_columns_that_are_none_are_refused(columns, error, message):
    class Wrong(Callback):
        def columns(self, run):
            return columns

    with pytest.raises(error, match=message):
        short(steps=4, log_every=2, callbacks=[Wrong()])


def test_columns_of_a_callback_stand_in_the_history():
    class Norm(Callback):
        def columns(self, run):
            return {"norm": sum(float(p.detach().norm()) for p in run.guide.parameters())}

    done = short(steps=4, log_every=2, callbacks=[Norm()])
    assert len(done.history.columns["norm"]) == 2
    assert "norm" in done.history.to_frame()
    with pytest.raises(ValueError, match="column 'norm' of the history is given by another callback too"):
        short(callbacks=[Norm(), Norm()])


# ---- errors --------------------------------------------------------------------------------------------


class Failing(Callback):
    """Fails in one method, with an error of its own."""

    def __init__(self, method):
        setattr(self, method, self.fail)

    def fail(self, *args):
        raise KeyError("mine")


class FailingStep(Callback):
    """Fails in the steps."""

    def before_step(self, run):
        raise KeyError("mine")


@pytest.mark.parametrize("method", ["on_start", "columns", "on_record", "on_end", "on_finish"])
def test_an_error_names_its_callback_and_its_method(method):
    with pytest.raises(KeyError, match="mine") as caught:
        short(callbacks=[Callback(), Failing(method)])
    assert f"raised in {method} of the callback 'Failing'" in caught.value.__notes__


def test_an_error_in_a_step_names_its_callback():
    with pytest.raises(KeyError, match="mine") as caught:
        short(callbacks=[FailingStep(), FailingStep()])
    assert caught.value.__notes__ == ["raised in before_step of the callback 'FailingStep'"]


def test_an_error_in_the_function_names_it():
    def my_function(history):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        short(callback=my_function)
    (note,) = caught.value.__notes__
    assert re.fullmatch(r"raised in on_record of the callback '.*my_function'", note)


@pytest.mark.parametrize("where", ["on_record", "on_end"])
def test_all_callbacks_that_were_started_end(where):
    log = Log()
    with pytest.raises(KeyError):
        short(callbacks=[log, Failing(where)])
    assert log.calls[-1] == ("end", "failed" if where == "on_record" else "finished")


def test_a_callback_that_was_not_started_does_not_end():
    log = Log()
    with pytest.raises(KeyError):
        short(callbacks=[Failing("on_start"), log])
    assert log.calls == []


def test_a_diverged_run_ends_its_callbacks():
    class Spoil(Callback):
        def before_step(self, run):
            next(run.guide.parameters()).detach().fill_(float("nan"))

    log = Log()
    with pytest.raises(DivergenceError):
        short(callbacks=[log, Spoil()])
    assert log.calls[-1] == ("end", "diverged")


# ---- checkpoints -----------------------------------------------------------------------------------------


class Average(Callback):
    """The running mean of the gates' parameters, as a callback of a user's might keep it."""

    def __init__(self):
        self.mean = None

    def on_start(self, run):
        self.mean = [p.detach().clone() for p in run.guide.gate_parameters()]

    def after_step(self, run):
        for mean, parameter in zip(self.mean, run.guide.gate_parameters(), strict=True):
            mean.lerp_(parameter.detach(), 0.1)

    def state_dict(self, run):
        return {"mean": self.mean}

    def load_state_dict(self, run, state):
        self.mean = state["mean"]


class Interrupt(Callback):
    """Ctrl-C after a step."""

    def __init__(self, at):
        self.at = at

    def after_step(self, run):
        if run.done == self.at:
            raise KeyboardInterrupt


def run(path=None, callbacks=(), **options):
    model = Costed()
    guide = costed_guide(model)
    batches = Minibatches(COLUMNS, RESPONSE, batch_size=30, seed=2)
    options = {"gate_lr": 0.5, "log_every": 4, "progress": False, "compile": "graph", "seed": 3, **options}
    options = {"target": "units:0.9", "steps": 24, **options}
    done = l0bayes.fit(model, guide, batches, checkpoint=path, callbacks=callbacks, **options)
    return done, state_of(guide)


def test_a_resumed_run_has_the_state_of_its_callbacks(tmp_path):
    whole, broken, resumed = Average(), Average(), Average()
    stopping = {"early_stopping": EarlyStopping(patience=100)}
    first, wanted = run(callbacks=[whole], **stopping)
    path = tmp_path / "run.pt"
    part, _ = run(path, [broken, Interrupt(14)], **stopping)
    assert part.best.stopped == "interrupted"
    rest, reached = run(path, [resumed], resume=True, **stopping)
    assert same_state(wanted, reached)
    assert rest.history == first.history
    assert all(torch.equal(*pair) for pair in zip(whole.mean, resumed.mean, strict=True))


def test_two_callbacks_of_one_class_keep_states_of_their_own(tmp_path):
    path = tmp_path / "run.pt"
    run(path, [Average(), Average()])
    assert {"Average", "Average 2"} <= read_state(path)["callbacks"].keys()


def test_a_checkpoint_without_a_callbacks_state_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    run(path, [Interrupt(14)])
    with pytest.raises(CheckpointError, match="holds no state of the callback 'Average', which this run has"):
        run(path, [Average()], resume=True)


def test_a_checkpoint_with_the_state_of_a_callback_that_is_missing_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    run(path, [Average(), Interrupt(14)])
    with pytest.raises(CheckpointError, match="the state of the callback 'Average', which this run lacks"):
        run(path, resume=True)


def test_a_state_that_could_not_be_read_back_is_refused_at_once(tmp_path):
    class Opaque(Callback):
        def state_dict(self, run):
            return {"things": [1.0, {2, 3}]}

    with pytest.raises(TypeError, match=r"the state of the callback 'Opaque'\['things'\]\[1\] .* got set"):
        run(tmp_path / "run.pt", [Opaque()])


def test_the_settings_stand_in_the_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    done, _ = run(path)
    assert read_state(path)["settings"] == done.config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.2}, r"its lr is 0\.01, that of this run 0\.2"),
        ({"gate_lr": 0.2}, r"its gate_lr is 0\.5, that of this run 0\.2"),
        ({"log_every": 2}, "its log_every is 4, that of this run 2"),
        ({"kl_weight": 0.5}, r"its kl_weight is 'Constant\(value=1\.0\)', that of this run"),
    ],
)
def test_other_settings_are_those_of_another_run(tmp_path, options, message):
    path = tmp_path / "run.pt"
    run(path)
    with pytest.raises(CheckpointError, match=message):
        run(path, resume=True, **options)


def test_a_function_among_the_settings_does_not_prevent_resuming(tmp_path):
    path = tmp_path / "run.pt"
    _, wanted = run(lr_schedule=lambda progress: 1.0)
    run(path, [Interrupt(14)], lr_schedule=lambda progress: 1.0)
    _, reached = run(path, resume=True, lr_schedule=lambda progress: 1.0)
    assert same_state(wanted, reached)


# ---- sleeping --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")
def test_restarts_of_a_sleeping_model_do_not_run_the_graphs_of_the_run_before():
    class Sleeper(torch.nn.Module):
        """A regression that computes nothing of its gates while it sleeps."""

        def __init__(self):
            super().__init__()
            self.asleep = False

        def forward(self, x, y=None):
            return regression(0.0 * x if self.asleep else x, y)

        def sleep(self, active):
            self.asleep = True
            return True

        def settle(self):
            return self.asleep

        def wake(self):
            self.asleep = False

    ends = []
    for mode in ("eager", "graph"):
        guide = guide_of()
        done = short(Sleeper(), guide, (X, Y), restarts=2, sleep=True, compile=mode, steps=4, log_every=2)
        ends.append([run.history.elbo for run in done.restarts])
    for one, other in zip(*ends, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
