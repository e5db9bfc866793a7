"""A few runs that are killed, in every way that the benchmark kills many."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_runs_that_are_killed_end_where_others_end():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kills", "--runs", "3", "--only", "regression, restarts"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["kinds"] == {"at a time": 1, "in a write": 1, "in the bytes": 1}
    assert found["kills"] >= 3
    assert found["identical"] == 3, found["not_identical"]
