"""Runs with other gate families: their settings, their folders, and reading them again."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from l0bayes.apps.train import RunConfig, load_run, score_test
from l0bayes.apps.train.training_job import assemble, run_data
from l0bayes.cli import app
from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoRectifiedNormal
from l0bayes.network import load_deployed, read_tensors

TINY = RunConfig(net="lenet-300-100", data="digits", epochs=1, batch_size=200, train_size=400, gate_lr=0.05)
ARGUMENTS = ["lenet-300-100", "--data", "digits", "--epochs", 1, "--batch-size", 200, "--train-size", 400]


def train(*arguments):
    return CliRunner().invoke(app, ["train", *(str(argument) for argument in [*ARGUMENTS, *arguments])])


# ---- settings ----------------------------------------------------------------------------------------

SETTINGS = [
    {},
    {"gate_law": "concrete", "temperature": 0.3},
    {"gate_law": "hard_kumaraswamy"},
    {"gate_law": "rectified_normal", "temperature": 0.4, "slab": "normal"},
    {"gate_law": "bernoulli", "estimator": "rloo", "per_example_gates": True},
    {"gate_law": "concrete_dropout"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: one.get("gate_law", "default"))
def test_settings_pass_through_their_file_and_make_the_guide(settings, tmp_path):
    config = replace(TINY, **settings)
    (tmp_path / "config.json").write_text(config.to_json())
    assert RunConfig.from_json(tmp_path / "config.json") == config
    _, guide = assemble(config, run_data(config))
    assert type(guide) is GATE_FAMILIES[config.gate_law].guide_class
    if config.temperature is not None:
        torch.testing.assert_close(guide.temperature, torch.tensor(config.temperature))
    if config.estimator is not None:
        assert guide.estimator == config.estimator
    for law in guide.gates().values():
        torch.testing.assert_close(law.prob_active, torch.full_like(law.prob_active, 0.9))


def test_an_older_file_has_no_gate_law_and_a_temperature(tmp_path):
    older = json.loads(TINY.to_json())
    del older["gate_law"], older["estimator"]
    older["temperature"] = 0.5
    (tmp_path / "config.json").write_text(json.dumps(older))
    config = RunConfig.from_json(tmp_path / "config.json")
    assert config == replace(TINY, temperature=0.5)
    assert load_run(tmp_path).config == config
    _, guide = assemble(config, run_data(config))
    assert type(guide) is AutoHardConcrete
    assert guide.temperature == 0.5


def test_a_setting_under_its_older_name_is_told_the_newer(tmp_path):
    older = json.loads(TINY.to_json())
    older["family"] = older.pop("gate_law")
    (tmp_path / "config.json").write_text(json.dumps(older))
    message = r"config.json holds unknown settings \['family'\]; 'family' is now called 'gate_law'"
    with pytest.raises(ValueError, match=message):
        load_run(tmp_path)


WRONG = [
    ({"gate_law": "gumbel"}, "gate_law must be one of hard_concrete, .*concrete_dropout; got 'gumbel'"),
    ({"gate_law": "bernoulli", "temperature": 0.5}, "gate law 'bernoulli' has no temperature; got 0.5"),
    (
        {"gate_law": "hard_kumaraswamy", "temperature": 0.5},
        "gate law 'hard_kumaraswamy' has no temperature; got 0.5",
    ),
    ({"gate_law": "concrete", "temperature": 0.0}, "temperature must be positive, got 0.0"),
    ({"estimator": "rloo"}, "estimator is for the gate law 'bernoulli'; got 'rloo' with 'hard_concrete'"),
    (
        {"gate_law": "bernoulli", "estimator": "arm"},
        "estimator must be one of disarm, rloo, straight_through; got 'arm'",
    ),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_what_a_family_does_not_take_is_refused(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **settings)
    options = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]
    result = train(*options, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "got" in result.output
    assert not (tmp_path / "run").exists()


# ---- a run -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # a run of two steps prunes nothing and says so
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["--gate-law", "rectified_normal", "--temperature", 0.4], AutoRectifiedNormal),
        (["--gate-law", "bernoulli", "--estimator", "rloo"], AutoBernoulliGates),
    ],
)
def test_a_run_is_read_again_and_scored(options, kind, tmp_path):
    result = train(*options, "--no-test", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    config = load_run(tmp_path / "run").config
    assert config.gate_law == options[1]
    model, guide = assemble(config, run_data(config))
    assert type(guide) is kind
    state = read_tensors(tmp_path / "run" / "guide.safetensors")
    for part, owner in (("guide.", guide), ("model.", model)):
        owner.load_state_dict({k.removeprefix(part): v for k, v in state.items() if k.startswith(part)})
    small = load_deployed(tmp_path / "run" / "deployed")
    x = run_data(config).test_x[:20]
    torch.testing.assert_close(model.eval().deploy(guide)(x), small(x))
    scored = score_test(tmp_path / "run")
    assert 0.0 < scored.results["scores"]["test"]["posterior"]["accuracy"] <= 1.0
