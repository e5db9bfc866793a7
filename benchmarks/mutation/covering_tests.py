"""Which tests run which line, and how long each takes: one pass of the quick tests under coverage.py."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["CHOSEN", "CoveringTests", "record"]

TESTS = (
    "tests/distributions",
    "tests/gate_families",
    "tests/gradients",
    "tests/guides",
    "tests/infer",
    "tests/models",
    "tests/posterior",
    "tests/selection",
    "tests/estimators",
)
"""Folders of tests that speak for the laws, the objectives and the kernels."""

CHOSEN = ("-m", "not slow and not examples", "-p", "no:cacheprovider", "-q", "--no-header", "--tb=line")
"""Options of pytest in every run."""

# Of the tests that run a line so many are tried, in seconds that they take under coverage.
_MOST_SECONDS = 60.0
_DURATIONS, _COVERAGE = "durations.json", "coverage.sqlite"


class _Durations:
    """A plugin of pytest: seconds of each test that passed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)


def record(root: Path, folder: Path, tests: Sequence[str] = TESTS) -> None:
    """Run tests of a copy of the project, and keep which of them ran which line, beside what was kept.

    Args:
        root: The copy.
        folder: Where the two files go.
        tests: Files or folders of tests.

    Raises:
        RuntimeError: If a test fails without any mutant.
    """
    import pytest

    os.chdir(root)
    os.environ["COVERAGE_FILE"] = str(folder / _COVERAGE)
    durations = _Durations()
    asked = ("--cov", "--cov-append", "--cov-context=test", "--cov-report=")
    pytest.main([*CHOSEN, *asked, *tests], plugins=[durations])
    if durations.failed:
        raise RuntimeError(f"these tests fail without any mutant: {durations.failed}")
    file = folder / _DURATIONS
    before = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**before, **durations.seconds}, indent=1))


class CoveringTests:
    """The tests that run a place.

    Args:
        root: The project.
        folder: What :func:`record` wrote.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        from coverage import CoverageData

        self._root = root
        self._seconds: dict[str, float] = json.loads((folder / _DURATIONS).read_text())
        self._data = CoverageData(str(folder / _COVERAGE))
        self._data.read()
        measured = {Path(file): file for file in self._data.measured_files()}
        self._measured = {file.as_posix().partition("/l0bayes/")[2]: name for file, name in measured.items()}

    def of(self, file: str, line: int) -> list[str]:
        """Tests that run the statement of a line: near ones first, and of these those that take least.

        Args:
            file: Path inside the project.
            line: Number of a line, from 1.
        """
        name = self._measured.get(file.removeprefix("l0bayes/"))
        if name is None:
            return []
        first, last = _statement(self._root / file, line)
        lines = self._data.contexts_by_lineno(name)
        contexts = {one for number in range(first, last + 1) for one in lines.get(number, ())}
        # What runs when a file is loaded speaks through everything that the file gives.
        if "" in contexts:
            contexts = {one for every in lines.values() for one in every}
        tests = {one.rpartition("|")[0] for one in contexts if "|" in one}
        given = _given(self._root / file)
        if not tests:  # it runs in processes that tests start
            tests = {one for one in self._seconds if given & _names(self._root / one.partition("::")[0])}

        def order(test: str) -> tuple[bool, float]:
            return not given & _names(self._root / test.partition("::")[0]), self._seconds[test]

        chosen: list[str] = []
        left = _MOST_SECONDS
        for test in sorted(tests & self._seconds.keys(), key=order):
            left -= self._seconds[test]
            if left >= 0.0 or not chosen:
                chosen.append(test)
        return chosen

    def seconds(self, tests: list[str]) -> float:
        """What tests take without a mutant."""
        return sum(self._seconds[test] for test in tests)


@cache
def _names(path: Path) -> frozenset[str]:
    """Every word of a file of tests, and what it is named after."""
    return frozenset({*re.findall(r"\w+", path.read_text()), path.stem.removeprefix("test_")})


@cache
def _given(path: Path) -> frozenset[str]:
    """What a file lists in ``__all__``, and its own name."""
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "__all__":
            return frozenset({*ast.literal_eval(statement.value), path.stem})
    return frozenset({path.stem})


def _statement(path: Path, line: int) -> tuple[int, int]:
    """First and last line of the innermost statement without statements of its own."""
    best = (line, line)
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        body = getattr(node, "body", None)
        end = body[0].lineno - 1 if body else node.end_lineno
        if line <= (end or 0):
            best = (node.lineno, max(end or 0, node.lineno))
    return best
