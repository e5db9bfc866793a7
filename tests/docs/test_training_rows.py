"""The table of whole runs that shrink: where gates are, what was asked for, and sizes."""

import importlib.util
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load():
    spec = importlib.util.spec_from_file_location("training_rows", DOCS / "training_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KINDS = ("dense", "ours", "found", "thin")


def tables(folder, **row):
    one = {"error": 2.5, "time": 0.4, "macs": 0.05, "parameters": 1200, "latency_1": 0.5, "latency_100": 0.2}
    row = {"net": "residual", "images": 5000, "epochs": 4, "target": 0.3, "runs": [{}], **row}
    row["summary"] = dict.fromkeys(KINDS, one)
    results = {
        "command": "python -m benchmarks.training",
        "rows": [row],
        "machine": {"processor": "a CPU"},
        "versions": {"torch": "2"},
    }
    (folder / "training.json").write_text(json.dumps(results), "utf-8")
    return load().training_rows(folder)["table"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "| residual | units | 5,000 × 4 | `macs:0.3` | 1 | 2.5 % at 0.40 |"),
        ({"gates": "weight", "cost": "params"}, "| residual | weights | 5,000 × 4 | `params:0.3` |"),
        ({"gates": {"group*": "block"}}, "| residual | blocks | 5,000 × 4 |"),
        ({"net": "transformer", "gates": None}, "| transformer | heads, units | 5,000 × 4 |"),
    ],
)
def test_rows_say_where_gates_are_and_what_was_asked_for(tmp_path, row, words):
    found = tables(tmp_path, **row)
    assert words in found
    assert "| `shrink=True` | 0.0500 | 1,200 | 0.50 | 0.20 |" in found


def test_the_pages_rows_are_there():
    found = load().training_rows(DOCS.parent / "benchmarks" / "results")
    assert "lenet-5-caffe" in found["table"]
