"""The tables of "How far can I trust a PIP?": the worst of every kind, and honest where one is missing."""

import importlib.util
import json
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load():
    spec = importlib.util.spec_from_file_location("selection_rows", DOCS / "selection_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rows = load()


def write(folder, part, **found):
    about = {
        "command": f"python -m benchmarks.selection --part {part}",
        "machine": {"processor": "a processor"},
        "versions": {"torch": "2"},
    }
    (folder / f"selection-{part}.json").write_text(json.dumps({**about, **found}), "utf-8")


def run(engine, used, noise, pip, seconds, evidence=None):
    return {
        "noise": noise, "p": 10, "engine": engine, "used": used, "pip_error": pip, "mean_error": 2 * pip,
        "evidence_error": evidence, "seconds": seconds,
    }  # fmt: skip


def test_without_files_it_says_so(tmp_path):
    assert set(rows.selection_rows(tmp_path).values()) == {"not measured"}


def test_the_worst_of_every_kind_is_told(tmp_path):
    write(
        tmp_path,
        "small",
        runs=[
            run("auto", "exact", 1.0, 1e-9, 0.1, evidence=3e-8),
            run("auto", "exact", 1.0, 2e-9, 0.3, evidence=1e-8),
            run("gibbs", "gibbs", 1.0, 0.0041, 2.0),
            run("gibbs", "gibbs", None, 0.0052, 3.0),
        ],
    )
    count = {"kind": "logistic", "p": 200, "n": 500, "engine": "gibbs", "pip_error": 0.01, "seconds": 1.0}
    write(tmp_path, "glm", runs=[{**count, "reference_se": 0.003}, {**count, "pip_error": 0.02}])
    found = rows.selection_rows(tmp_path)
    lines = found["errors"].splitlines()
    assert len({line.count("|") for line in lines}) == 1
    exact = "| Gaussian, noise known, 2 fits | 10 | `auto` (exact) | 2e-09 | 4e-09 | 3e-08 | 0.3 (0.3) |"
    assert lines[2] == exact
    assert "| 0.0041 | 0.0082 | — | 2.0 (2.0) |" in lines[3]
    assert lines[4].startswith("| Gaussian, noise unknown, 1 fit |")
    assert "| 0.0200 (reference ± 0.0030) |" in lines[5]
    assert found["about"].count("a processor") == 2
    assert found["huge"] == found["wide"] == found["calibration"] == "not measured"


def test_a_bound_is_told_as_a_bound(tmp_path):
    what = "slab scaled by noise, noise unknown"
    own = {"n": 100, "p": 500, "what": what, "reference_se": 0.002}
    single = [{"pip_error": e, "seconds": s} for e, s in ((0.01, 2.0), (0.012, 1.0), (0.008, 1.5))]
    key = {"n": 100, "p": 500}
    write(
        tmp_path,
        "wide",
        runs=[{**own, "single": single}, {**own, "what": "millipede", "pip_error": 0.02}],
        ratios=[{**key, "reached": True, "ratio": 7.6}, {**key, "reached": False, "ratio": 12.2}],
    )
    wide = rows.selection_rows(tmp_path)["wide"].splitlines()
    assert wide[2:] == [f"| 100 × 500 | {what} | 0.0120 | 0.0020 | 1.5 (2.0) | 8, > 12 |"]


def test_calibration_and_many_columns(tmp_path):
    setting = {
        "setting": "inclusion 0.15", "selected": 289, "promised_fdr": 0.025, "realised_fdr": 0.019,
        "realised_fdr_se": 0.007, "ece": 0.0049,
    }  # fmt: skip
    write(tmp_path, "calibration", runs=[setting])
    size = {
        "p": 100_000, "seconds_per_epoch": 0.25, "data_bytes": 2**28, "guide_bytes": 2**20,
        "peak_minus_baseline_bytes": 2**29, "recovered": 4, "largest": [0, 1, 2, 3, 9],
    }  # fmt: skip
    write(tmp_path, "huge", runs=[size])
    found = rows.selection_rows(tmp_path)
    assert found["calibration"].splitlines()[-1] == "| inclusion 0.15 | 289 | 2.5 % | 1.9 ± 0.7 % | 0.005 |"
    assert found["huge"].splitlines()[-1] == "| 100,000 | 0.25 | 256 | 1.0 | 512 | 4 of 5 |"


def test_false_discoveries_of_likelihoods_say_over_how_many_data_sets(tmp_path):
    run = {
        "likelihood": "cox", "data_sets": 300, "selected": 347, "promised_fdr": 0.0091,
        "realised_fdr": 0.0094, "realised_fdr_se": 0.0037, "ece": 0.0126,
    }  # fmt: skip
    write(tmp_path, "calibration-likelihoods", runs=[run])
    found = rows.selection_rows(tmp_path)
    assert found["likelihoods"].splitlines()[-1] == "| cox | 300 | 347 | 0.9 % | 0.9 ± 0.4 % | 0.013 |"
