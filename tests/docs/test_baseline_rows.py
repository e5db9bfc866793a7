"""The rows of "Beside training from scratch": where they were measured, and where they were not."""

import importlib.util
import json
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load():
    spec = importlib.util.spec_from_file_location("baseline_rows", DOCS / "baseline_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rows = load()


def row(accuracy, seconds=10.0, part="test"):
    return {
        "scores": {part: {"accuracy": accuracy}},
        "macs": 1000.0,
        "parameters": 1200,
        "nonzero": 1100,
        "seconds": seconds,
        "latency_ms": {"1": 0.25, "100": None},
    }


def lines(tmp_path, net, *runs):
    (tmp_path / f"mnist-{net}.json").write_text(json.dumps({"runs": runs}))
    table = rows.baseline_rows(tmp_path)["table"].split("\n")
    assert all(line.count("|") == 9 for line in table)
    return [line for line in table if rows.NETS[net] + " |" in line]


def test_without_files_every_network_is_said_to_be_missing(tmp_path):
    table = rows.baseline_rows(tmp_path)["table"].split("\n")
    assert len(table) == 2 + len(rows.NETS)
    assert all("not measured" in line for line in table[2:])


def test_a_file_without_rivals_is_not_measured(tmp_path):
    (line,) = lines(tmp_path, "lenet-5-caffe", {"scores": {}})
    assert "not measured" in line


def test_rows_are_means_and_spreads_over_seeds(tmp_path):
    first, second = (
        {"baselines": {kind: row(accuracy) for kind in ("dense", "scratch", "thin", "deployed")}}
        for accuracy in (0.98, 0.97)
    )
    found = lines(tmp_path, "lenet-5-caffe", first, second)
    assert [line.split(" | ")[1] for line in found] == list(rows.BASELINES.values())
    assert "| 2.50 ± 0.71 | 1,000 | 1,100 | 10 ± 0 | 0.25 ± 0.00 | — |" in found[0]


def test_what_is_missing_is_left_out_and_validation_is_called_so(tmp_path):
    found = lines(
        tmp_path,
        "lenet-300-100",
        {"baselines": {"dense": row(0.98, part="validation"), "deployed": row(0.97, None, "validation")}},
    )
    assert len(found) == 2
    assert "| 2.00 (validation) |" in found[0]
    assert "| 3.00 (validation) | 1,000 | 1,100 | — | 0.25 | — |" in found[1]
