"""Whatever is imported is declared: an environment that pip made from pyproject.toml alone is complete."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from l0bayes.optional_packages import EXTRAS as NAMED_EXTRAS
from l0bayes.posterior.netcdf import PACKAGES

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# What ArviZ and Pyro bring and the library imports without asking for it by name.
BROUGHT = {"xarray", "pandas", "scipy", "tqdm"}
OURS = {"l0bayes", "models", "guides", "tests", "benchmarks"}


def normalised(name: str) -> str:
    """As the index compares names of distributions."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*groups: list[str]) -> set[str]:
    """Names that lines of ``pyproject.toml`` ask for; of ``l0bayes[...]`` those that its extras ask for."""
    names: set[str] = set()
    for line in (line for group in groups for line in group):
        found = re.match(r"([\w.-]+)(?:\[(.*?)\])?", line)
        assert found is not None
        if found[1] == "l0bayes":
            names |= declared(*(EXTRAS[extra] for extra in found[2].split(",")))
        else:
            names.add(normalised(found[1]))
    return names


def brought(name: str) -> set[str]:
    """What a distribution that is installed asks for, and what that asks for, without extras of its own."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for line in requires(waiting.pop()) or ():
            need = Requirement(line)
            one = normalised(need.name)
            if one not in found and (need.marker is None or need.marker.evaluate({"extra": ""})):
                found.add(one)
                waiting.append(one)
    return found


def imported(*folders: str, beside: str = "") -> dict[str, str]:
    """Top-level packages that files import, anywhere in them, with one file that does.

    Files in the folder ``beside`` are left out.
    """
    found: dict[str, str] = {}
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        if beside and path.is_relative_to(ROOT / beside):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                found.setdefault(name.split(".")[0], str(path.relative_to(ROOT)))
    ours = OURS | {path.stem for folder in folders for path in (ROOT / folder).glob("*.py")}
    return {name: path for name, path in found.items() if name not in ours | sys.stdlib_module_names}


def undeclared(packages: dict[str, str], allowed: set[str]) -> dict[str, str]:
    distributions = packages_distributions()
    return {
        name: path
        for name, path in packages.items()
        if not allowed & {normalised(one) for one in distributions.get(name, [name])}
    }


def test_a_plain_install_asks_for_four_packages() -> None:
    assert declared(PROJECT["dependencies"]) == {"torch", "pyro-ppl", "numpy", "arviz"}


def test_every_import_of_the_package_is_a_dependency() -> None:
    """The extras count, as what imports them names the extra where they are missing."""
    allowed = declared(PROJECT["dependencies"], EXTRAS["all"]) | BROUGHT
    assert undeclared(imported("l0bayes", "models", "guides", beside="l0bayes/testing"), allowed) == {}


def test_what_is_imported_beside_the_extras_is_brought_by_the_four() -> None:
    """ArviZ 0.x and 1.x bring xarray, pandas and SciPy, each by other ways."""
    assert brought("arviz") | brought("pyro-ppl") >= BROUGHT


def test_errors_name_extras_that_bring_the_package() -> None:
    distributions = packages_distributions()
    for extra, names in NAMED_EXTRAS.items():
        for name in names:
            assert declared(EXTRAS[extra]) & {normalised(one) for one in distributions.get(name, [name])}, (
                name
            )


def test_all_is_every_extra_for_users() -> None:
    for_developers = {"test", "lint", "docs", "all"}
    users = set(EXTRAS) - for_developers
    assert declared(EXTRAS["all"]) == declared(*(EXTRAS[name] for name in users))


def test_what_xarray_asks_for_by_name_is_in_the_extra() -> None:
    assert {normalised(name) for name in PACKAGES} <= declared(PROJECT["dependencies"], EXTRAS["files"])


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("tests", ["test"]), ("l0bayes/testing", ["test"]), ("docs", ["docs", "test"])],
)
def test_every_import_beside_the_package_is_in_its_extra(folder: str, extras: list[str]) -> None:
    allowed = declared(PROJECT["dependencies"], *(EXTRAS[name] for name in extras)) | BROUGHT
    # An example of docs/extending stands beside the test that imports it.
    found = {name: file for name, file in imported(folder).items() if not stands_beside(name, file)}
    assert undeclared(found, allowed) == {}


def stands_beside(name: str, file: str) -> bool:
    """Whether a module is a file in the folder of the one that imports it."""
    return (ROOT / file).with_name(f"{name}.py").is_file()


def test_an_import_in_a_function_is_found() -> None:
    found = imported("l0bayes")
    assert {"jinja2", "sklearn", "PIL"} <= set(found)
    assert undeclared({"sklearn": "here.py", "PIL": "there.py"}, {"scikit-learn"}) == {"PIL": "there.py"}
