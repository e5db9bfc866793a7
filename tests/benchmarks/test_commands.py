"""Every benchmark can still be run: it is imported, and its command line describes itself."""

import importlib
import pkgutil
import runpy
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


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")  # it was imported above
def test_its_options_are_described(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit) as done:
        runpy.run_module(command, run_name="__main__")
    assert done.value.code == 0
    assert "usage:" in capsys.readouterr().out
