"""Rivals from scratch: trained as the run was, measured beside it, and there again when it is read."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from l0bayes.apps.train import RunConfig, load_run, score_test, train_network
from l0bayes.apps.train.baselines import train_plain
from l0bayes.apps.train.training_job import dense_network, run_data, training_batches
from l0bayes.cli import app
from l0bayes.network import count_macs

SMALL = RunConfig(
    net="lenet-300-100", data="digits", target="macs:0.3", epochs=6, batch_size=77, lr=2e-3, shrink=True
)
NAMES = ["dense", "scratch", "thin", "deployed"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return train_network(SMALL, folder, progress=False, test=False, baseline=True)


def test_every_network_has_its_row(run):
    rows = json.loads((run.folder / "scores.json").read_text())["baselines"]
    assert list(rows) == NAMES
    assert rows["dense"]["macs"] == run.results["dense_macs"]
    assert rows["dense"]["parameters"] == run.results["dense_params"]
    assert rows["scratch"]["macs"] == rows["deployed"]["macs"] == run.results["deployed_macs"]
    assert rows["scratch"]["parameters"] == rows["deployed"]["parameters"]
    assert 0.9 * rows["deployed"]["macs"] < rows["thin"]["macs"] <= rows["deployed"]["macs"]
    assert rows["deployed"]["scores"]["validation"] == run.results["scores"]["validation"]["deployed"]
    for row in rows.values():
        assert list(row["scores"]) == ["validation"]
        assert row["scores"]["validation"]["accuracy"] > 0.8
        assert row["seconds"] > 0
        assert all(row["latency_ms"][size] > 0 for size in ("1", "100"))


def test_the_dense_one_is_trained_on_the_same_batches_from_the_same_seed(run):
    data = run_data(SMALL)
    net = dense_network(SMALL, data)
    state = torch.get_rng_state()
    train_plain(net, SMALL, training_batches(SMALL, data))
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        accuracy = float((net(data.valid_x).argmax(-1) == data.valid_y).double().mean())
    found = run.results["baselines"]["dense"]["scores"]["validation"]["accuracy"]
    assert found == pytest.approx(accuracy, abs=1e-12)


def test_points_pay_their_penalty_in_the_plain_network_too():
    data, light = run_data(SMALL), replace(SMALL, epochs=3, lr=2e-2)
    nets = [dense_network(SMALL, data) for _ in range(2)]
    for net, config in zip(nets, (light, replace(light, weight_decay=3e3)), strict=True):
        train_plain(net, config, training_batches(config, data))
    free, held = (float(net.fc1.weight.detach().square().mean()) for net in nets)
    assert held < 0.5 * free


def test_the_table_and_the_command_show_them(run):
    table = load_run(run.folder).baselines
    assert list(table.index) == [
        "dense, from scratch",
        "deployed architecture, from scratch",
        "thinned alike, from scratch",
        "deployed",
    ]
    assert {"validation error %", "MACs", "parameters", "training, s"} <= set(table)
    assert {"ms at batch 1", "ms at batch 100"} <= set(table)
    assert isinstance(table, pd.DataFrame)
    shown = CliRunner().invoke(app, ["show", str(run.folder)])
    assert shown.exit_code == 0
    assert "deployed architecture, from scratch" in shown.output


def test_the_test_set_is_read_for_them_later(run, tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    again = score_test(folder)
    rows = json.loads((folder / "scores.json").read_text())["baselines"]
    assert all(list(row["scores"]) == ["validation", "test"] for row in rows.values())
    assert rows["deployed"]["scores"]["test"] == again.results["scores"]["test"]["deployed"]
    assert rows["dense"]["scores"]["test"]["accuracy"] > 0.8
    assert "test error %" in again.baselines


def test_without_them_there_is_no_table(run, tmp_path):
    results = {key: value for key, value in run.results.items() if key != "baselines"}
    assert replace(run, results=results).baselines is None
    assert count_macs(run.deployed, (run_data(SMALL).train_x[:1],)) == run.results["deployed_macs"]


def test_widths_are_rounded_by_the_command(tmp_path):
    options = ["--data", "digits", "--target", "macs:0.3", "--epochs", "1", "--no-test", "--shrink"]
    out = ["--out", str(tmp_path / "run"), "--round-to", "8"]
    done = CliRunner().invoke(app, ["train", "lenet-300-100", *options, *out])
    assert done.exit_code == 0, done.output
    layers = load_run(tmp_path / "run").layers
    assert all(int(count) % 8 == 0 for count in layers["deployed open"])
    refused = CliRunner().invoke(app, ["train", "lenet-300-100", "--round-to", "8", *out])
    assert refused.exit_code == 2
    assert "round_to goes with shrink and target" in refused.output
