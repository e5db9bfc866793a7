"""The table of "Which relaxation?": a row for every candidate, and honest where something is missing."""

import importlib.util
import json
from pathlib import Path

CORRELATED = "correlated"
DOCS = Path(__file__).resolve().parents[2] / "docs"


def load():
    spec = importlib.util.spec_from_file_location("relaxation_rows", DOCS / "relaxation_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rows = load()


def candidate(name, gate_law, variant, summary, design=None, word="gate_law"):
    entry = {"name": name, word: gate_law, "variant": variant, "summary": summary}
    return entry | ({"design": design} if design else {})


def figure(mean, half_width=0.01):
    return {"mean": mean, "half_width": half_width, "all": []}


def write(folder, part, candidates, **more):
    found = {
        "command": f"python -m benchmarks.relaxations --part {part}",
        "candidates": candidates,
        "seeds": [0, 1],
        "machine": {"processor": "a processor"},
        "versions": {"torch": "2"},
        **more,
    }
    (folder / f"relaxations-{part}.json").write_text(json.dumps(found), "utf-8")


def test_without_files_it_says_so(tmp_path):
    found = rows.relaxation_rows(tmp_path)
    assert found["table"] == found["about"] == "not measured"
    assert set(found["reach"].values()) == {"not measured"}


def test_every_candidate_has_a_row_in_the_order_of_the_gate_laws(tmp_path):
    write(
        tmp_path,
        "regression",
        [
            candidate("disarm", "bernoulli", "DisARM", {"largest_error_exact": figure(0.034)}, "independent"),
            candidate("hc", "hard_concrete", "0.1", {"largest_error_exact": figure(0.069)}, "independent"),
            candidate(  # as older results have it
                "hc",
                "hard_concrete",
                "0.1",
                {"largest_error_exact": figure(0.19, None)},
                "correlated",
                word="family",
            ),
        ],
        problems=[
            {"design": "correlated", "optimum_largest_error_exact": 0.2, "optimum_evidence_gap": 0.5},
            {"design": "correlated", "optimum_largest_error_exact": 0.4, "optimum_evidence_gap": 0.7},
        ],
    )
    write(
        tmp_path, "mnist", [candidate("hc", "hard_concrete", "0.1", {"test_error": figure(0.0212, 0.0012)})]
    )
    found = rows.relaxation_rows(tmp_path)
    lines = found["table"].splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| hard concrete | 0.1 | 0.07 ± 0.01 | 0.19 |")
    assert "2.12 ± 0.12" in lines[2]
    assert lines[3].startswith("| binary | DisARM | 0.03 ± 0.01 | — |")
    assert found["reach"]["correlated_optimum_largest_error_exact"] == "0.30"
    assert "2 seeds" in found["about"]
