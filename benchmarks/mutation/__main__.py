"""Does a wrong sign make a test fail? A sample of mutants of the laws, the objectives and the kernels.

Mutants are made by Cosmic Ray, by its own operators: + for -, - for +, a minus in front taken away, * for /
and / for *. They are drawn with a seed from all places of distributions/, infer/ and selection/kernels; a
minus in front of a whole number, which names an axis, is left alone. One pass of the quick tests without any
mutant tells which of them run which line. Each mutant is then written into a copy of the project, and
processes of their own run the tests of its line until one fails, those first whose file names what the
mutated file gives, and as many as take a minute without a mutant. A process that dies has noticed, and so has
one that does not end in a minute and twice its usual time. Of those that no test notices some cannot change
a result: they are listed in ``equivalents.json``, each with its reason, and counted apart.

    pip install cosmic-ray
    python -m benchmarks.mutation [--mutants 300] [--seed 0] [--minutes 60] [--map FOLDER] [--out FILE]
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.mutation.covering_tests import CHOSEN, CoveringTests, record
from benchmarks.mutation.equivalents import why_equivalent
from benchmarks.mutation.places import Mutant, all_mutants, mutated

ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("l0bayes", "models", "guides", "tests", "docs", "benchmarks", "pyproject.toml", "README.md")
# So many tests are tried before the test files of all others are read.
_FIRST = 25


def child(tests: list[str], copy: Path, log: Path) -> int:
    """Run tests of the copy, in this process."""
    import pytest

    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True
    told = io.StringIO()
    with redirect_stdout(told), redirect_stderr(told):
        code = int(pytest.main(["-x", *CHOSEN, *tests]))
    log.write_text(told.getvalue())
    return code


def outcome(tests: list[str], copy: Path, log: Path, limit: int) -> str:
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
    if code in (3, 5):
        told = log.read_text() if log.exists() else ""
        raise RuntimeError(f"pytest did not run {tests}, status {code}:\n{told}")
    if code == -signal.SIGXCPU:
        return "out of time"
    # A file of tests that can no longer be read has noticed too.
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
    parser.add_argument("--limit", type=int, default=60, help="processor seconds, beside twice what is usual")
    parser.add_argument("--map", type=Path, help="folder that keeps which tests run which line")
    parser.add_argument("--resume", action="store_true", help="go on from what --out holds, of the same code")
    parser.add_argument(
        "--again", action="store_true", help="the same, with those first that were not caught"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/mutation.json")
    options = parser.parse_args()
    places = all_mutants(ROOT)
    drawn = random.Random(options.seed).sample(places, min(options.mutants, len(places)))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.mkdir()
        for name in _COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, symlinks=True)
            else:
                shutil.copy(ROOT / name, copy / name)
        lines = options.map or Path(folder) / "map"
        if not lines.exists():
            lines.mkdir(parents=True)
            if os.waitstatus_to_exitcode(in_a_process(partial(record, copy, lines.resolve()))):
                raise SystemExit("the tests do not pass as they are")
        run(drawn, len(places), copy, CoveringTests(ROOT, lines), options)


def in_a_process(work: Callable[[], object]) -> int:
    """Do a thing in a fork of this process, and give its status."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def run(
    drawn: list[Mutant], places: int, copy: Path, covering: CoveringTests, options: argparse.Namespace
) -> None:
    """Try one mutant after the other, and write what was found after each."""
    # What every process needs is loaded once; nothing of the package is.
    for name in ("pyro.infer", "pytest", "scipy.stats", "torch"):
        importlib.import_module(name)
    goes_on = options.resume or options.again
    rows: list[dict[str, Any]] = json.loads(options.out.read_text())["mutants_run"] if goes_on else []
    again = [index for index, row in enumerate(rows) if options.again and row["outcome"] == "survived"]
    started = time.monotonic()
    for index in [*again, *range(len(rows), len(drawn))]:
        if time.monotonic() - started > 60.0 * options.minutes:
            break
        begun = time.monotonic()
        rows[index : index + 1] = [tried(drawn[index], copy, covering, options.limit)]
        told = f"{index + 1} {rows[index]['outcome']} {drawn[index].file}:{drawn[index].line}"
        print(f"{told} {time.monotonic() - begun:.0f} s", flush=True)
        options.out.write_text(json.dumps(result_of(rows, places, options), indent=1) + "\n")


def tried(mutant: Mutant, copy: Path, covering: CoveringTests, limit: int) -> dict[str, Any]:
    """What tests say of a mutant."""
    before, log, file = used(), copy / "told", copy / mutant.file
    log.unlink(missing_ok=True)
    file.write_text(mutated(ROOT, mutant))
    tests, found = covering.of(mutant.file, mutant.line), "survived"
    for few in (tests[:_FIRST], tests[_FIRST:]):
        if few and found == "survived":
            found = outcome(few, copy, log, limit + round(2.0 * covering.seconds(few)))
    shutil.copy2(ROOT / mutant.file, file)
    return {
        "file": mutant.file,
        "line": mutant.line,
        "source": (ROOT / mutant.file).read_text().splitlines()[mutant.line - 1].strip(),
        "operator": mutant.operator.removeprefix("core/Replace"),
        "outcome": found,
        "tests": len(tests),
        "processor_seconds": round(used() - before, 1),
        "by": first_failure(log) if found == "caught" else "",
    }


def result_of(rows: list[dict[str, Any]], places: int, options: argparse.Namespace) -> dict[str, Any]:
    """What was found, and which share of the mutants that can change a result was caught."""
    left = [row for row in rows if row["outcome"] == "survived"]
    same = [{**row, "why": why} for row in left if (why := why_equivalent(row))]
    noticed = len(rows) - len(left)
    names = ("torch", "pyro-ppl", "numpy", "pytest", "cosmic-ray")
    return {
        "command": f"python -m benchmarks.mutation --mutants {options.mutants} --seed {options.seed}",
        "places": places,
        "mutants": len(rows),
        "noticed": noticed,
        "out_of_time": sum(row["outcome"] == "out of time" for row in rows),
        "share": round(noticed / len(rows), 4),
        "equivalent": len(same),
        "share_of_others": round(noticed / max(1, len(rows) - len(same)), 4),
        "processor_seconds": round(sum(row["processor_seconds"] for row in rows)),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in names}},
        "cannot_change_a_result": same,
        "not_noticed": [row for row in left if not why_equivalent(row)],
        "mutants_run": rows,
    }


if __name__ == "__main__":
    main()
