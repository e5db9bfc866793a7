"""Runs with other gate families: their settings, their folders, and reading them again."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from l0bayes.apps.train import RunConfig, load_run, score_test
from l0bayes.apps.train.training_job import assemble, run_data
from l0bayes.cli import app
from l0bayes.guides import FAMILIES, AutoBernoulliGates, AutoHardConcrete, AutoRectifiedNormal

TINY = RunConfig(net="lenet-300-100", data="digits", epochs=1, batch_size=200, train_size=400, gate_lr=0.05)
ARGUMENTS = ["lenet-300-100", "--data", "digits", "--epochs", 1, "--batch-size", 200, "--train-size", 400]


def train(*arguments):
    return CliRunner().invoke(app, ["train", *(str(argument) for argument in [*ARGUMENTS, *arguments])])


# ---- settings ----------------------------------------------------------------------------------------

SETTINGS = [
    {},
    {"family": "concrete", "temperature": 0.3},
    {"family": "hard_kumaraswamy"},
    {"family": "rectified_normal", "temperature": 0.4, "slab": "normal"},
    {"family": "bernoulli", "estimator": "rloo", "per_example_gates": True},
    {"family": "concrete_dropout"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: one.get("family", "default"))
def test_settings_pass_through_their_file_and_make_the_guide(settings, tmp_path):
    config = replace(TINY, **settings)
    (tmp_path / "config.json").write_text(config.to_json())
    assert RunConfig.from_json(tmp_path / "config.json") == config
    _, guide = assemble(config, run_data(config))
    assert type(guide) is FAMILIES[config.family]
    if config.temperature is not None:
        torch.testing.assert_close(guide.temperature, torch.tensor(config.temperature))
    if config.estimator is not None:
        assert guide.estimator == config.estimator
    for law in guide.gates().values():
        torch.testing.assert_close(law.prob_active, torch.full_like(law.prob_active, 0.9))


def test_an_older_file_has_no_family_and_a_temperature(tmp_path):
    older = json.loads(TINY.to_json())
    del older["family"], older["estimator"]
    older["temperature"] = 0.5
    (tmp_path / "config.json").write_text(json.dumps(older))
    config = RunConfig.from_json(tmp_path / "config.json")
    assert config == replace(TINY, temperature=0.5)
    assert load_run(tmp_path).config == config
    _, guide = assemble(config, run_data(config))
    assert type(guide) is AutoHardConcrete
    assert guide.temperature == 0.5


WRONG = [
    ({"family": "gumbel"}, "family must be one of hard_concrete, .*concrete_dropout; got 'gumbel'"),
    ({"family": "bernoulli", "temperature": 0.5}, "family 'bernoulli' has no temperature; got 0.5"),
    (
        {"family": "hard_kumaraswamy", "temperature": 0.5},
        "family 'hard_kumaraswamy' has no temperature; got 0.5",
    ),
    ({"family": "concrete", "temperature": 0.0}, "temperature must be positive, got 0.0"),
    ({"estimator": "rloo"}, "estimator is for the family 'bernoulli'; got 'rloo' with 'hard_concrete'"),
    (
        {"family": "bernoulli", "estimator": "arm"},
        "estimator must be one of disarm, rloo, straight_through; got 'arm'",
    ),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_what_a_family_does_not_take_is_refused(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **settings)
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    result = train(*options, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "got" in result.output
    assert not (tmp_path / "run").exists()


# ---- a run -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning")  # a run of two steps prunes nothing and says so
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["--family", "rectified_normal", "--temperature", 0.4], AutoRectifiedNormal),
        (["--family", "bernoulli", "--estimator", "rloo"], AutoBernoulliGates),
    ],
)
def test_a_run_is_read_again_and_scored(options, kind, tmp_path):
    result = train(*options, "--no-test", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    config = load_run(tmp_path / "run").config
    assert config.family == options[1]
    model, guide = assemble(config, run_data(config))
    assert type(guide) is kind
    state = torch.load(tmp_path / "run" / "guide.pt", weights_only=True)
    guide.load_state_dict(state["guide"])
    model.load_state_dict(state["model"])
    small = torch.load(tmp_path / "run" / "deployed.pt", weights_only=False)
    x = run_data(config).test_x[:20]
    torch.testing.assert_close(model.eval().deploy(guide)(x), small(x))
    scored = score_test(tmp_path / "run")
    assert 0.0 < scored.results["scores"]["test"]["posterior"]["accuracy"] <= 1.0
