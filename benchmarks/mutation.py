"""Does a wrong sign make a test fail? A sample of mutants of the laws, the objectives and the kernels.

Mutants are made by Cosmic Ray, by its own operators: + for -, - for +, a minus in front taken away, * for /
and / for *. They are drawn with a seed from all places of distributions/, infer/ and selection/kernels; a
minus in front of a whole number, which names an axis, is left alone. Each mutant is written into a copy of
the project, and a process of its own runs tests until one fails: first the files of its part that name what
the mutated file gives, then those that name what its users give, then the rest. A process that dies has
noticed; one that takes longer than the limit is told apart.

    pip install cosmic-ray
    python -m benchmarks.mutation [--mutants 300] [--seed 0] [--minutes 60] [--out FILE]
"""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("l0bayes/distributions", "l0bayes/infer", "l0bayes/selection/kernels")
OPERATORS = (
    "core/ReplaceBinaryOperator_Add_Sub",
    "core/ReplaceBinaryOperator_Sub_Add",
    "core/ReplaceBinaryOperator_Mul_Div",
    "core/ReplaceBinaryOperator_Div_Mul",
    "core/ReplaceUnaryOperator_Delete_USub",
)
# Which tests speak for which part, those that notice most in the least time first.
TESTS: dict[str, tuple[str, ...]] = {
    "distributions": (
        "tests/distributions",
        "tests/gate_families",
        "tests/guides/test_guide_densities.py",
        "tests/infer/test_bounds.py",
    ),
    "infer/targets": ("target", "search", "forecast", "shrinking", "schedules", "registered_costs"),
    "infer/shrink": ("shrinking", "search", "target", "forecast"),
    "infer/graphs": ("graphs", "array_graphs", "free_shapes", "compiled", "state_places"),
    "infer/ranks": ("ranks",),
    "infer/callbacks": ("callbacks", "callback_suite", "history_file", "fit", "collapse"),
    "infer/loop": ("fit", "early_stopping", "fit_settings", "fit_restarts", "checkpoint", "fit_files"),
    "infer": (
        "objective",
        "bounds",
        "elbo_contract",
        "hardened",
        "binary_gates",
        "named_objectives",
        "per_example",
        "masked_latents",
        "missing_values",
        "site_densities",
        "point_latents",
        "enumerated_latents",
        "batches",
        "elbo_gradients",
        "compiled",
        "schedules",
        "abilities",
        "fit",
    ),
    "selection/kernels": (
        "tests/selection/kernels",
        "tests/selection/engines",
        "tests/selection/slab_priors",
        "tests/selection/summaries",
        "tests/selection/trust",
        "tests/selection/problem",
        "tests/estimators",
    ),
}
_AXIS = re.compile(r"-\s*\d+(?![\d.e])")
_COPIED = ("l0bayes", "models", "guides", "tests", "docs", "benchmarks", "pyproject.toml", "README.md")


@dataclass(frozen=True)
class Mutant:
    """A place, and what is done to it."""

    file: str
    operator: str
    occurrence: int
    line: int

    @property
    def tests(self) -> tuple[str, ...]:
        inside = self.file.removeprefix("l0bayes/")
        names = next(tests for folder, tests in TESTS.items() if inside.startswith(folder + "/"))
        files = (name if "/" in name else f"tests/infer/test_{name}.py" for name in names)
        return tuple("tests/infer/ranks" if one.endswith("test_ranks.py") else one for one in files)

    @property
    def rounds(self) -> list[tuple[str, ...]]:
        """The tests: those that name what the file gives, what its users give, and the others."""
        left = [file.relative_to(ROOT).as_posix() for name in self.tests for file in _test_files(name)]
        rounds = []
        for given in (_given(self.file), _given_by_users(self.file), None):
            near = tuple(file for file in left if given is None or given & _names(file))
            left = [file for file in left if file not in near]
            rounds.append(near)
        return [one for one in rounds if one]


def _test_files(name: str) -> list[Path]:
    path = ROOT / name
    return [path] if path.is_file() else sorted(path.rglob("test_*.py"))


@cache
def _names(file: str) -> frozenset[str]:
    words = re.findall(r"\w+", (ROOT / file).read_text())
    return frozenset({*words, Path(file).stem.removeprefix("test_")})


@cache
def _given(file: str) -> frozenset[str]:
    """What a file lists in ``__all__``, and its own name."""
    for statement in ast.parse((ROOT / file).read_text()).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "__all__":
            return frozenset({*ast.literal_eval(statement.value), Path(file).stem})
    return frozenset({Path(file).stem})


@cache
def _given_by_users(file: str) -> frozenset[str]:
    """What the modules give that import a file."""
    module = file.removesuffix(".py").replace("/", ".")
    sources = [path.relative_to(ROOT).as_posix() for path in (ROOT / "l0bayes").rglob("*.py")]
    users = [one for one in sources if f"from {module} import" in (ROOT / one).read_text()]
    return frozenset().union(*(_given(one) for one in users if not one.endswith("__init__.py")))


def all_mutants() -> list[Mutant]:
    """Every place at which one of the operators can act."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            source = path.read_text()
            lines, nodes = source.splitlines(), list(ast_nodes(get_ast(source)))
            for name in OPERATORS:
                operator = get_operator(name)()
                places = [place for node in nodes for place in operator.mutation_positions(node)]
                for index, place in enumerate(places):
                    if "USub" in name and _AXIS.match(lines[place[0][0] - 1], place[0][1]):
                        continue
                    file = path.relative_to(ROOT).as_posix()
                    found.append(Mutant(file, name, index, place[0][0]))
    return found


def mutated(mutant: Mutant) -> str:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source = (ROOT / mutant.file).read_text()
    code: str | None = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    assert code is not None, mutant
    return code


def child(tests: tuple[str, ...], copy: Path, log: Path) -> int:
    """Run the tests of the copy, in this process."""
    import pytest

    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True
    told = io.StringIO()
    chosen = ["-m", "not slow and not examples", "-p", "no:cacheprovider"]
    with redirect_stdout(told), redirect_stderr(told):
        code = int(pytest.main(["-x", "-q", "--no-header", "--tb=line", *chosen, *tests]))
    log.write_text(told.getvalue())
    return code


def outcome(tests: tuple[str, ...], copy: Path, log: Path, limit: int) -> str:
    """``caught``, ``out of time``, or ``survived``; the limit is in seconds of the processor."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        code = 3
        try:
            code = child(tests, copy, log)
        except BaseException:
            log.write_text(traceback.format_exc())
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code in (3, 4, 5):
        told = log.read_text() if log.exists() else ""
        raise RuntimeError(f"pytest did not run {tests}, status {code}:\n{told}")
    if code == -signal.SIGXCPU:
        return "out of time"
    return "survived" if code == 0 else "caught"


def used() -> float:
    """Processor seconds of all processes that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def first_failure(log: Path) -> str:
    lines = log.read_text().splitlines() if log.exists() else []
    return next((line for line in reversed(lines) if line.startswith(("FAILED", "ERROR"))), "")[:200]


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutants of laws, objectives and kernels.")
    parser.add_argument("--mutants", type=int, default=300, help="how many are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--minutes", type=float, default=600.0, help="no further mutant is begun after so long"
    )
    parser.add_argument("--limit", type=int, default=200, help="processor seconds a round of tests may take")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/mutation.json")
    options = parser.parse_args()
    places = all_mutants()
    drawn = random.Random(options.seed).sample(places, min(options.mutants, len(places)))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in _COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, symlinks=True)
            else:
                shutil.copy(ROOT / name, copy / name)
        run(drawn, len(places), copy, options)


def run(drawn: list[Mutant], places: int, copy: Path, options: argparse.Namespace) -> None:
    """Try one mutant after the other, and write what was found after each."""
    # What every process needs is loaded once; nothing of the package is.
    for name in ("pyro.infer", "pytest", "scipy.stats", "torch"):
        importlib.import_module(name)
    rows: list[dict[str, Any]] = []
    started, log = time.monotonic(), copy / "told"
    for mutant in drawn:
        if time.monotonic() - started > 60.0 * options.minutes:
            break
        begun, before = time.monotonic(), used()
        file = copy / mutant.file
        log.unlink(missing_ok=True)
        file.write_text(mutated(mutant))
        for tests in mutant.rounds:
            found = outcome(tests, copy, log, options.limit)
            if found != "survived":
                break
        shutil.copy2(ROOT / mutant.file, file)
        rows.append(
            {
                "file": mutant.file,
                "line": mutant.line,
                "operator": mutant.operator.removeprefix("core/Replace"),
                "outcome": found,
                "processor_seconds": round(used() - before, 1),
                "by": first_failure(log) if found == "caught" else "",
            }
        )
        print(f"{len(rows)} {found} {mutant.file}:{mutant.line} {time.monotonic() - begun:.0f} s", flush=True)
        options.out.write_text(json.dumps(result_of(rows, places, started, options), indent=1) + "\n")


def result_of(
    rows: list[dict[str, Any]], places: int, started: float, options: argparse.Namespace
) -> dict[str, Any]:
    caught = sum(one["outcome"] == "caught" for one in rows)
    names = ("torch", "pyro-ppl", "numpy", "pytest", "cosmic-ray")
    return {
        "command": f"python -m benchmarks.mutation --mutants {options.mutants} --seed {options.seed}",
        "places": places,
        "mutants": len(rows),
        "caught": caught,
        "share": round(caught / len(rows), 4),
        "seconds": round(time.monotonic() - started),
        "processor_seconds": round(sum(one["processor_seconds"] for one in rows)),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in names}},
        "not_caught": [one for one in rows if one["outcome"] != "caught"],
        "mutants_run": rows,
    }


if __name__ == "__main__":
    main()
