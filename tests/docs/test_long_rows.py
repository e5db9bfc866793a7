"""The tables of the long runs: every seed's error, the rivals where there are any, the recipes in words."""

import importlib.util
import json
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load():
    spec = importlib.util.spec_from_file_location("long_rows", DOCS / "long_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rows = load()
RECIPE = {
    "net": "lenet-5-caffe",
    "target": "macs:0.05",
    "epochs": 8,
    "more_epochs": 17,
    "stop_at_cut": True,
    "gates": None,
    "lr": 0.002,
    "gate_lr": 0.03,
    "weight_decay": 2.0,
    "dropout": 0.0,
    "shifts": 0,
}


def run(error, **more):
    return {
        "validation_error": error,
        "macs_factor": 20.0,
        "params_factor": 30.0,
        "time": 0.3,
        "widths": "4-8-60-100",
    } | more


def tables(folder, runs):
    results = {
        "command": "python -m benchmarks.long_runs",
        "machine": {"processor": "a CPU"},
        "versions": {"torch": "2"},
        "rows": {
            "lenet-5-20": {"recipe": RECIPE, "runs": runs},
            "lenet-5-30": {"recipe": RECIPE, "runs": []},
        },
    }
    (folder / "training-long.json").write_text(json.dumps(results), "utf-8")
    return rows.long_rows(folder)


def test_errors_of_all_seeds_are_those_of_the_test_set_once_it_was_read_for_all(tmp_path):
    some = tables(tmp_path, [run(1.2, test_error=0.9), run(1.3)])["table"]
    assert "1.20, 1.30 (validation)" in some
    both = tables(tmp_path, [run(1.2, test_error=0.9), run(1.3, test_error=1.1)])["table"]
    assert "0.90, 1.10 |" in both
    assert "| 2 |" in both
    assert "20.0 ± 0.0 ×" in both


def test_rivals_stand_in_rows_of_their_own(tmp_path):
    rival = {"thin": {"validation_error": 1.5, "test_error": 1.4, "time": 0.2}}
    found = tables(tmp_path, [run(1.2, test_error=0.9, rivals=rival), run(1.3, test_error=1.0)])["rivals"]
    assert "| thinned alike | 1 | 1.40 | 0.20 |" in found


def test_a_recipe_is_told_in_words(tmp_path):
    found = tables(tmp_path, [run(1.2)])
    assert "search of 2 epochs, 17 epochs more, rates 0.002 and 0.03 (gates)" in found["recipes"]
    assert "images as they are" in found["recipes"]
    assert "lenet-5-30" not in found["recipes"]


def test_the_pages_rows_are_there():
    known = rows.long_rows(DOCS.parent / "benchmarks" / "results")
    assert set(known) == {"table", "rivals", "recipes", "about"}
