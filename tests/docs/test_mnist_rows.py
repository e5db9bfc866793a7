"""The cells of "Results on MNIST": every name the page asks for is there, with and without files."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load():
    spec = importlib.util.spec_from_file_location("mnist_rows", DOCS / "mnist_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rows = load()
ASKED = set(re.findall(r"\{\{ mnist\.(\w+)\.(\w+) \}\}", (DOCS / "results.md").read_text("utf-8")))


def score(accuracy):
    return {"accuracy": accuracy, "nll": 0.05, "brier": 0.02, "ece": 0.004}


def run(accuracy, test=True):
    kinds = {"deployed": score(accuracy), "posterior": score(accuracy)}
    return {
        "scores": {"validation": kinds} | ({"test": kinds} if test else {}),
        "dense_macs": 1000.0,
        "deployed_macs": 100.0,
        "dense_params": 2000.0,
        "deployed_params": 40,
        "costs": {"expected_macs": 110.0, "expected_params": 44.0},
        "architecture": "3-2-1",
        "seconds": 600.0,
    }


def write(folder, net="lenet-5-caffe", test=True, **more):
    recipe = {"gates": None, "slab": "delta", "target": "macs:0.1", "epochs": 2, "batch_size": 100}
    found = {
        "command": "python -m benchmarks.mnist",
        "recipe": recipe | {"lr": 1e-3, "gate_lr": 1e-2},
        "runs": [run(0.98, test), run(0.99, test)],
        "machine": {"cpus": 2, "processor": "one"},
        "versions": {"torch": "2"},
        **more,
    }
    (folder / f"mnist-{net}.json").write_text(json.dumps(found))


def test_what_the_page_asks_for_is_there(tmp_path):
    assert len(ASKED) > 40
    for net in rows.NETS[1:]:
        write(tmp_path, net)
    found = rows.mnist_rows(tmp_path)
    for net, name in ASKED:
        assert found[net][name]
    assert {net for net, _ in ASKED} == set(found)


def test_a_row_without_a_file_says_so(tmp_path):
    for cells in rows.mnist_rows(tmp_path).values():
        assert cells["deployed_error"] == cells["architectures"] == "not measured"
        assert set(cells.values()) == {"not measured", "—"}


def test_cells_are_means_and_spreads_over_seeds(tmp_path):
    write(tmp_path)
    cells = rows.mnist_rows(tmp_path)["lenet_5_caffe"]
    assert cells["deployed_error"] == "1.50 ± 0.71"
    assert cells["macs_factor"] == "10.0 ± 0.0 ×"
    assert cells["params_factor"] == "50.0 ± 0.0 ×"
    assert cells["expected_macs"] == "11.00 ± 0.00 %"
    assert cells["minutes"] == "10 ± 0"
    assert cells["architectures"] == "3-2-1; 3-2-1"
    assert cells["dense_error"] == "not measured"


def test_scores_of_validation_images_are_called_so(tmp_path):
    write(tmp_path, test=False)
    assert rows.mnist_rows(tmp_path)["lenet_5_caffe"]["deployed_error"].endswith("(validation)")


def test_the_dense_baseline_has_two_rows(tmp_path):
    dense = [
        {"scores": {"test": {"dense": score(0.97)}}, "scores_last_epoch": {"test": {"dense": score(0.96)}}}
    ]
    write(tmp_path, "lenet-300-100-normal", dense=dense)
    cells = rows.mnist_rows(tmp_path)["lenet_300_100_normal"]
    assert (cells["dense_error"], cells["dense_last_error"]) == ("3.00", "4.00")


@pytest.mark.parametrize("gates", [None, "weight", {"fc1": "input"}])
def test_recipes_are_told_in_words(tmp_path, gates):
    write(tmp_path)
    file = tmp_path / "mnist-lenet-5-caffe.json"
    found = json.loads(file.read_text())
    found["recipe"] |= {"gates": gates, "shifts": 1, "dropout": 0.2}
    file.write_text(json.dumps(found))
    told = rows.mnist_rows(tmp_path)["lenet_5_caffe"]["recipe"]
    assert all(words in told for words in ("2 epochs", "dropout 0.2", "shifts of up to 1 pixel"))
