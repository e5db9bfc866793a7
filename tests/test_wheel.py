"""The wheel holds the package once and whole, the two top-level folders included."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ["l0bayes", "models", "guides", "pyproject.toml", "README.md", "LICENSE"]
PLACES = {"l0bayes": "l0bayes", "models": "l0bayes/models", "guides": "l0bayes/guides"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, so that no build folder is left in the tree."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools, the build backend, is not installed in this environment")
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            # symlinks=True keeps l0bayes/models a link to ../models, as in the tree.
            shutil.copytree(
                ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(out), str(copy)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_every_module_is_in_the_wheel_exactly_once(wheel: Path) -> None:
    wanted = Counter(
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, place in PLACES.items()
        for path in (ROOT / folder).rglob("*.py")
        if folder != "l0bayes" or path.relative_to(ROOT / folder).parts[0] not in ("models", "guides")
    )
    found = Counter(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py"))
    assert found == wanted
    assert set(found.values()) == {1}
    assert {"l0bayes/models/__init__.py", "l0bayes/guides/__init__.py"} <= set(found)


def test_the_wheel_is_typed_and_licensed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert names.count("l0bayes/py.typed") == 1
    assert names.count("l0bayes/apps/select/report.html.jinja") == 1
    assert sum(name.endswith("licenses/LICENSE") for name in names) == 1


def test_the_wheel_installs_no_second_package(wheel: Path) -> None:
    """No top-level ``models``, ``guides`` or ``tests`` beside ``l0bayes``."""
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"l0bayes"}
