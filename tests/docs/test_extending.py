"""What docs/extending.md adds from outside the package: short files that pass the suites they inherit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTENDING = ROOT / "docs" / "extending"
EXAMPLES = sorted(path for path in EXTENDING.glob("*.py") if not path.name.startswith("test_"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_on_the_page(example):
    assert len(example.read_text("utf-8").splitlines()) <= 80
    page = (ROOT / "docs" / "extending.md").read_text("utf-8")
    for name in (example.name, f"test_{example.name}"):
        assert f"{{literalinclude}} extending/{name}" in page


@pytest.mark.examples
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_passes_its_suite_in_a_folder_of_its_own(example, tmp_path):
    """In a process of its own, as what it registers stays registered."""
    for name in (example.name, f"test_{example.name}"):
        shutil.copy(EXTENDING / name, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{example.name}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
