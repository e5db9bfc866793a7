"""Runs: what they leave in their folder, going on from it, and what they refuse before any work."""

import json
from dataclasses import replace

import arviz as az
import numpy as np
import pandas as pd
import pytest
import torch

from l0bayes.apps.train import RunConfig, build_network, load_run, train_network
from l0bayes.apps.train.architectures import DATASETS, IMAGES, check_choice, load_data
from l0bayes.network import count_macs, load_deployed

SMALL = RunConfig(
    net="lenet-300-100", data="digits", target="macs:0.3", epochs=50, batch_size=77, lr=2e-3, gate_lr=5e-2
)
FILES = {
    "checkpoint.safetensors",
    "config.json",
    "costs.csv",
    "costs.png",
    "guide.safetensors",
    "history.csv",
    "history.jsonl",
    "input_gates.png",
    "layers.csv",
    "posterior.nc",
    "reliability.png",
    "scores.json",
    "units.png",
}


DEPLOYED = {"architecture.json", "certificate.json", "program.pt2", "weights.safetensors"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return train_network(SMALL, folder, progress=False, compile="graph")


def test_everything_is_in_the_folder(run):
    assert {path.name for path in run.files if path.parent == run.folder} == FILES
    saved = {path.name for path in run.files if path.parent == run.folder / "deployed"}
    assert saved - {"network.onnx"} == DEPLOYED  # that one where it can be written
    assert len(run.files) == len(FILES) + len(saved)
    assert all(path.stat().st_size > 0 for path in run.files)


def test_the_target_is_reached_by_the_deployed_network(run):
    share = run.results["deployed_macs"] / run.results["dense_macs"]
    assert abs(share - 0.3) <= 0.02
    assert run.results["scores"]["test"]["deployed"]["accuracy"] > 0.9


def test_sizes_are_those_of_the_saved_network(run):
    small = load_deployed(run.folder / "deployed")
    x = load_data("digits").test_x
    assert count_macs(small, (x[:3],)) == run.results["deployed_macs"]
    assert run.results["deployed_params"] == sum(int(torch.count_nonzero(p)) for p in small.parameters())
    assert torch.equal(small(x), run.deployed(x))


def test_scores_are_those_of_the_saved_network(run):
    small, data = load_deployed(run.folder / "deployed"), load_data("digits")
    accuracy = float((small(data.test_x).argmax(-1) == data.test_y).double().mean())
    assert run.results["scores"]["test"]["deployed"]["accuracy"] == pytest.approx(accuracy, abs=1e-12)


def test_history_tells_expected_and_deployed_cost_and_units(run):
    history = pd.read_csv(run.folder / "history.csv")
    for column in ("expected_macs", "deployed_macs", "expected_params", "deployed_params", "multiplier"):
        assert column in history
    assert history["open:fc1.gate"].iloc[-1] == run.layers.loc["fc1", "deployed open"]
    assert history["deployed_macs"].iloc[-1] == pytest.approx(
        run.results["deployed_macs"] / run.results["dense_macs"], rel=1e-6
    )


def test_the_posterior_holds_gates_and_costs(run):
    data = az.from_netcdf(str(run.folder / "posterior.nc"))
    assert set(data.posterior.data_vars) == {"fc1.gate", "fc2.gate", "fc3.gate"}
    assert data.posterior.attrs["dense_macs"] == 64 * 300 + 300 * 100 + 100 * 10
    assert np.isclose(data.posterior.attrs["expected_macs"], run.results["costs"]["expected_macs"])


def test_a_run_can_be_read_again(run):
    again = load_run(run.folder)
    assert again.config == SMALL
    assert again.results == json.loads((run.folder / "scores.json").read_text())
    assert again.summary() == run.summary()
    assert "times fewer" in "\n".join(again.summary())
    assert list(again.layers.index) == ["fc1", "fc2", "fc3"]
    assert again.costs.loc["dense", "macs"] == 64 * 300 + 300 * 100 + 100 * 10


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_end(run, tmp_path, monkeypatch):
    import l0bayes.infer.loop.records as records

    calls = {"count": 0}
    original = records.read_gates

    def interrupting(guide):
        calls["count"] += 1
        if calls["count"] == 60:
            raise KeyboardInterrupt
        return original(guide)

    monkeypatch.setattr(records, "read_gates", interrupting)
    begun = train_network(SMALL, tmp_path / "run", progress=False, compile="graph")
    assert begun.results["stopped"] == "interrupted"
    monkeypatch.setattr(records, "read_gates", original)
    ended = train_network(SMALL, tmp_path / "run", resume=True, progress=False, compile="graph")
    assert ended.results["stopped"] == "finished"
    for ours, theirs in zip(ended.fit.guide.parameters(), run.fit.guide.parameters(), strict=True):
        assert torch.equal(ours, theirs)


# ---- refusals ------------------------------------------------------------------------------------


def test_a_folder_is_not_written_over(run):
    before = {path: path.stat().st_mtime_ns for path in run.files}
    with pytest.raises(FileExistsError, match="exists and is not empty; give resume to go on, or force"):
        train_network(SMALL, run.folder, progress=False)
    assert {path: path.stat().st_mtime_ns for path in run.files} == before


def test_there_must_be_something_to_resume(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume"):
        train_network(SMALL, tmp_path, resume=True)


def test_a_run_is_resumed_with_its_own_settings(run):
    with pytest.raises(ValueError, match="was begun with other settings"):
        train_network(replace(SMALL, lr=1e-3), run.folder, resume=True)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        load_run(tmp_path)


@pytest.mark.parametrize("target", ["macs:0.00001", "flops:0.1", "macs", "macs:1.5"])
def test_targets_that_cannot_be_reached_write_nothing(target, tmp_path):
    with pytest.raises(ValueError, match="target"):
        train_network(replace(SMALL, target=target), tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "history.csv").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"train_size": 0}, "train_size must be at least 1, got 0"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative, got -1.0"),
        ({"init_active": 1.0}, "init_active must lie strictly between 0 and 1, got 1.0"),
        ({"decay_from": 1.0}, r"decay_from must lie in \[0, 1\), got 1.0"),
        ({"slab": "point"}, "slab must be one of delta, normal; got 'point'"),
        ({"penalty": 1.0, "inclusion": 0.1}, "give penalty or inclusion, not both"),
    ],
)
def test_settings_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_settings_that_do_not_exist(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"net": "lenet-300-100", "momentum": 0.9}))
    with pytest.raises(ValueError, match=r"unknown settings \['momentum'\]"):
        RunConfig.from_json(file)


def test_unknown_names_come_with_a_near_one():
    with pytest.raises(ValueError, match="did you mean 'lenet-5-caffe'"):
        build_network("lenet-5-cafe", (1, 28, 28), 10)
    with pytest.raises(ValueError, match="did you mean 'mnist'"):
        load_data("minst")


@pytest.mark.parametrize("name", DATASETS)
def test_images_are_as_large_as_is_said(name):
    try:
        data = load_data(name)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    assert tuple(data.test_x.shape[1:]) == IMAGES[name]
    assert int(data.test_y.max()) + 1 == 10


def test_a_dataset_that_was_added_is_checked_when_it_is_read(monkeypatch):
    monkeypatch.setitem(DATASETS, "letters", lambda: None)
    check_choice("lenet-5-caffe", "letters", None)
    with pytest.raises(ValueError, match="net must be one of"):
        check_choice("lenet", "letters", None)


def test_networks_say_which_images_they_read():
    with pytest.raises(ValueError, match=r"lenet-5-caffe reads images of shape \(1, 28, 28\), got \(64,\)"):
        build_network("lenet-5-caffe", (64,), 10)
    assert build_network("wrn-10-1", (3, 32, 32), 10)(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert build_network("vit-small", (1, 28, 28), 10)(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_a_run_that_shrinks_is_read_again_like_any_other(tmp_path):
    config = RunConfig(
        net="lenet-300-100", data="digits", target="macs:0.3", epochs=4, batch_size=77, lr=2e-3, shrink=True
    )
    run = train_network(config, tmp_path / "run", progress=False)
    assert run.results["deployed_macs"] <= 0.3 * run.results["dense_macs"]
    assert run.results["costs"]["expected_macs"] == pytest.approx(run.results["deployed_macs"], rel=1e-6)
    again = load_run(tmp_path / "run")
    assert again.config.shrink
    with pytest.raises(ValueError, match="give shrink or sleep, not both"):
        replace(config, sleep=True)
