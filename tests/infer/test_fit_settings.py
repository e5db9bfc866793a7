"""The settings of a fit: one object, one check, one record."""

import inspect
import json
import math
from dataclasses import FrozenInstanceError, fields, replace
from typing import get_type_hints

import pyro
import pytest
import torch

import l0bayes
from l0bayes.infer import Callback, Constant, EarlyStopping, FitKeywords, FitSettings, Linear, Target
from tests.infer.fitting import X, Y, guide_of, loader, regression, same_state, short, state_of


def test_settings_and_keywords_are_the_same_fit():
    one, other = guide_of(), guide_of()
    settings = FitSettings(steps=4, lr=0.03, seed=2, compile="eager", progress=False)
    by_object = l0bayes.fit(regression, one, (X, Y), settings=settings)
    by_name = l0bayes.fit(
        regression, other, (X, Y), steps=4, lr=0.03, seed=2, compile="eager", progress=False
    )
    assert same_state(state_of(one), state_of(other))
    assert by_object.config == by_name.config
    assert by_object.settings == by_name.settings


def test_keywords_go_before_settings():
    settings = FitSettings(steps=4, lr=0.03, compile="eager", progress=False)
    done = short(settings=settings, lr=0.2, steps=2)
    assert (done.settings.lr, done.settings.steps) == (0.2, 2)
    assert settings.lr == 0.03


def test_the_keywords_are_the_fields_with_their_types():
    assert get_type_hints(FitKeywords) == get_type_hints(FitSettings)
    for one in fields(FitSettings):
        assert f"``{one.name}``" in inspect.getdoc(l0bayes.fit)


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        FitSettings().lr = 0.1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": 0.0}, ValueError, r"lr must be positive, got 0\.0"),
        ({"lr": math.inf}, ValueError, "lr must be finite, got inf"),
        ({"lr": "big"}, ValueError, "lr must be a number and must be positive, got 'big'"),
        ({"gate_lr": -1.0}, ValueError, r"gate_lr must be positive, got -1\.0"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"steps": 1.5}, ValueError, r"steps must be a whole number, got 1\.5"),
        ({"steps": 1, "epochs": 1}, ValueError, "give steps or epochs, not both"),
        ({"num_particles": 0}, ValueError, "num_particles must be at least 1, got 0"),
        (
            {"temperature": Linear(0.5, -0.1)},
            ValueError,
            r"temperature must be positive, got -0\.\d+ at progress 1",
        ),
        ({"kl_weight": -1.0}, ValueError, r"kl_weight must not be negative, got -1\.0 at progress 0\.0"),
        ({"compile": "jit"}, ValueError, "compile must be auto, inductor, graph, eager; got 'jit'"),
        ({"target": "macs"}, ValueError, "target must be 'kind:share' .* got 'macs'"),
        ({"resume": True}, ValueError, "resume=True needs a file to go on from; give checkpoint"),
        ({"optimizer": "adam"}, TypeError, "optimizer must be a function, got str"),
        ({"callback": 3}, TypeError, "callback must be a function, got int"),
        ({"early_stopping": 5}, TypeError, "early_stopping must be an EarlyStopping, got int"),
        ({"callbacks": [print]}, TypeError, "callbacks must hold Callback objects, got builtin_function"),
        ({"callbacks": Callback()}, TypeError, "callbacks must be a list of Callback, got one Callback"),
    ],
)
def test_every_setting_is_checked_when_it_is_given(options, error, message):
    with pytest.raises(error, match=message):
        FitSettings(**options)


def test_an_unknown_keyword_is_refused_with_the_nearest_one():
    with pytest.raises(
        TypeError, match=r"fit takes no argument 'step', only settings and steps, .*mean 'steps'"
    ):
        short(step=3)
    with pytest.raises(TypeError, match="settings must be a FitSettings, got dict"):
        short(settings={"steps": 3})


def test_what_follows_from_the_data_is_filled_in():
    done = short(data=loader(10), epochs=2, target=None)
    assert (done.settings.steps, done.settings.epochs) == (6, None)
    assert done.settings.guard_collapse is False


def test_the_record_is_plain_and_stands_in_fit_history_and_frame():
    done = short(steps=4, temperature=0.4, early_stopping=EarlyStopping(), callbacks=[Callback()])
    assert json.loads(json.dumps(done.config)) == done.config
    assert done.config == done.settings.record()
    assert done.history.settings == done.config
    assert done.history.to_frame().attrs["settings"] == done.config
    assert done.config["temperature"] == repr(Constant(0.4))
    assert done.config["callbacks"] == ["Callback"]
    assert (done.config["torch"], done.config["pyro"]) == (torch.__version__, pyro.__version__)


def test_every_setting_that_bears_on_the_result_is_recorded():
    """All but where and how a run is watched and kept."""
    watching = {
        "epochs",
        "checkpoint",
        "checkpoint_every",
        "resume",
        "history_file",
        "distributed",
        "progress",
        "callback",
    }
    assert set(FitSettings().record()) == {one.name for one in fields(FitSettings)} - watching | {
        "torch",
        "pyro",
    }


def test_defaults_that_depend_on_others():
    settings = FitSettings(lr=0.02)
    assert (settings.total_steps, settings.gate_rate, settings.record_every) == (2000, 0.2, 10)
    assert settings.rate_schedule == Linear(1.0, 0.01, begin=0.5)
    assert settings.heat_schedule is None
    assert replace(settings, steps=30).record_every == 1


def test_a_target_is_recorded_by_its_text():
    assert FitSettings(target="units:0.50").record()["target"] == "units:0.5"
    assert FitSettings(target=Target("units", 0.5)).record()["target"] == "units:0.5"
