"""Long runs: what is counted, what stays zero, and that nothing is trained or read twice."""

import json
import sys
from dataclasses import replace

import pytest
import torch

from benchmarks.long_runs import __main__ as command
from benchmarks.long_runs.meter import Meter
from benchmarks.long_runs.one_run import train_on
from benchmarks.long_runs.recipes import RECIPES
from l0bayes.infer import Minibatches
from l0bayes.models import LeNet300100


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=generator)
    return Minibatches(x, (x[:, 0] > 0).long(), batch_size=20)


def network():
    torch.manual_seed(0)
    return LeNet300100(inputs=6, widths=(5, 4), classes=2)


def test_weights_that_are_zero_stay_so_with_gates_on_weights(batches):
    net = network()
    with torch.no_grad():
        net.fc1.weight[:, ::2] = 0.0
    meter = Meter(network(), next(batches.epoch(0)), len(batches))
    recipe = replace(RECIPES["lenet-300-100-weights"], more_epochs=30)
    before = net.fc1.weight.clone()
    train_on(net, recipe, batches, meter)
    assert (net.fc1.weight[:, ::2] == 0).all()
    assert (net.fc1.weight[:, 1::2] != before[:, 1::2]).any()
    result = meter.result()
    assert len(result["epochs"]) == 30
    assert result["seconds"] > 0
    assert result["time"] == pytest.approx(result["seconds"] / result["dense_seconds"])
    assert {"expected", "deployed", "run", "time", "seconds"} == set(result["epochs"][0])


def test_runs_are_written_at_once_and_neither_repeated_nor_mixed(tmp_path, monkeypatch, capsys):
    trained = []

    def run_seed(recipe, data, seed, keep):
        trained.append(seed)
        return {"seed": seed, "epochs": []}

    monkeypatch.setattr(command, "run_seed", run_seed)
    monkeypatch.setattr(command, "training_data", lambda recipe, images=None: None)
    out = tmp_path / "long.json"

    def run(seeds):
        arguments = ["--rows", "lenet-5-20", "--seeds", str(seeds), "--out", str(out)]
        monkeypatch.setattr(sys, "argv", ["long_runs", *arguments, "--keep", str(tmp_path)])
        command.main()
        return json.loads(capsys.readouterr().out)

    run(1)
    assert trained == [0]
    found = run(2)
    assert trained == [0, 1]
    assert [one["seed"] for one in found["rows"]["lenet-5-20"]["runs"]] == [0, 1]
    monkeypatch.setitem(RECIPES, "lenet-5-20", replace(RECIPES["lenet-5-20"], lr=0.5))
    with pytest.raises(ValueError, match="another recipe"):
        run(1)


def test_the_test_set_is_read_once(tmp_path, monkeypatch, capsys):
    reads = []

    def scores_of(net, x, y, part):
        reads.append(part)
        return {"test_error": 1.0}

    class Data:
        test_x = test_y = None

    recipe = json.loads(json.dumps(vars(RECIPES["lenet-5-20"])))
    run = {"seed": 0, "epochs": [], "rivals": {"thin": {}}}
    out = tmp_path / "long.json"
    out.write_text(json.dumps({"rows": {"lenet-5-20": {"recipe": recipe, "runs": [run]}}}), "utf-8")
    monkeypatch.setattr(command, "scores_of", scores_of)
    monkeypatch.setattr(command, "training_data", lambda recipe: Data)
    monkeypatch.setattr(command.l0bayes, "load_deployed", lambda folder: folder)
    arguments = ["--rows", "lenet-5-20", "--seeds", "1", "--test", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["long_runs", *arguments])
    command.main()
    command.main()
    assert reads == ["test", "test"]  # the network and its rival, once each
    stored = json.loads(out.read_text("utf-8"))["rows"]["lenet-5-20"]["runs"][0]
    assert stored["test_error"] == stored["rivals"]["thin"]["test_error"] == 1.0
    capsys.readouterr()
