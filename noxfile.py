"""The suite with the newest and the oldest of what ``pyproject.toml`` claims, and what a release has to pass.

nox -l                          the lanes
nox -s newest-3.12              all tests with the newest releases, torch as constraints.txt has it
nox -s oldest                   a broad part of them with the lowest versions of every dependency
nox -s wheel                    the wheel in a clean environment, without and with extras
nox -s pyright audit            types as pyright sees them; known vulnerabilities of what is installed
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import nox

nox.options.sessions = ["newest-3.12", "oldest", "wheel", "pyright"]

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())["project"]
# What the lowest versions were released with, and what newer releases of it only deprecate.
OF_THEIR_TIME = ("click==8.2.1", "pyparsing==3.0.9")
# A quarter of the suite that uses every dependency.
BROAD = (
    "tests/infer/test_fit.py",
    "tests/infer/test_fit_files.py",
    "tests/posterior",
    "tests/distributions/test_hard_concrete.py",
    "tests/sites",
    "tests/files",
    "tests/estimators/test_scikit_learn.py",
    "tests/estimators/test_factors.py",
    "tests/apps/select/test_select_command.py",
    "tests/apps/select/test_predict_command.py",
    "tests/plots",
    "tests/datasets",
    "tests/test_optional_packages.py",
)
PYTEST = ("python", "-m", "pytest", "-q", "-m", "not examples")
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def lowest(*extras: str) -> list[str]:
    """The dependencies of the package and of extras, each at its floor."""
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    found = []
    for line in lines:
        if not line.startswith("l0bayes["):
            found.append(re.sub(r">=", "==", line.partition(";")[0], count=1))
    return found


@nox.session(python=["3.11", "3.12", "3.13"])
def newest(session: nox.Session) -> None:
    """All tests with the newest releases; ArviZ 0.23 on 3.11, 1.x on later Pythons."""
    session.install("--constraint", "constraints.txt", "torch")
    session.install("--constraint", "constraints.txt", "--editable", ".[test]")
    session.run(*PYTEST, "--numprocesses", "auto", "--dist", "worksteal", *session.posargs, env=QUIET)


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """A broad part of the tests with the lowest versions; deprecations of that time are errors too."""
    extras = ("files", "plots", "cli", "select", "tables")
    session.install(
        *lowest(*extras), *OF_THEIR_TIME, "pytest==8.0.0", "hypothesis==6.100.0", "mpmath", "polars"
    )
    session.install("--no-deps", "--editable", ".")
    session.run(*PYTEST[:-1], "not examples and not slow", *(session.posargs or BROAD), env=QUIET)


@nox.session(python="3.11")
def wheel(session: nox.Session) -> None:
    """Wheel and sdist, built; what a plain install can do, and the demo with its extras."""
    folder = session.create_tmp()
    session.install("build")
    session.run("python", "-m", "build", "--outdir", folder)
    (built,) = sorted(Path(folder).glob("*.whl"))[-1:]
    session.install("--constraint", "constraints.txt", "torch", str(built))
    session.chdir(folder)
    session.run("l0bayes", "demo", success_codes=[2])  # names the extra
    session.install(f"{built}[cli,select,network]")
    session.run("l0bayes", "demo", env=QUIET)


@nox.session(python="3.11")
def pyright(session: nox.Session) -> None:
    """All of the package in pyright's mode basic."""
    session.install("--constraint", "constraints.txt", "torch")
    session.install("--constraint", "constraints.txt", "--editable", ".[test,lint]", "pyright[nodejs]")
    session.run("pyright")


@nox.session(python="3.11")
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of everything that the extras bring."""
    session.install("--constraint", "constraints.txt", "torch")
    session.install("--constraint", "constraints.txt", ".[all]", "pip-audit")
    session.run("pip-audit", "--local")
