"""Every benchmark can still be run: it is imported, and its command line describes itself."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks

ROOT = Path(__file__).resolve().parents[2]
MODULES = [found.name for found in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")]
COMMANDS = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__main__")
    for path in (ROOT / "benchmarks").rglob("*.py")
    if '__name__ == "__main__"' in path.read_text("utf-8")
)


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_it_is_imported(module):
    importlib.import_module(module)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_its_options_are_described(command):
    done = subprocess.run(
        [sys.executable, "-m", command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
