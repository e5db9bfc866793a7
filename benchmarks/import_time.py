"""What ``import l0bayes`` costs beside ``import pyro``, which it needs, each in a fresh interpreter.

Interpreters are started in turn and time the import themselves; figures are medians.

    python -m benchmarks.import_time [--rounds 15] [--quick] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.environment import describe

LAZY = ("arviz", "matplotlib", "pandas", "sklearn", "xarray")

PROGRAM = """
import json, sys, time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
print(json.dumps([seconds, [name for name in {lazy!r} if name in sys.modules]]))
"""


def import_once(module: str) -> tuple[float, list[str]]:
    """Seconds of an import, and which of the heavy optional modules it brought along."""
    program = PROGRAM.format(module=module, lazy=LAZY)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    seconds, loaded = json.loads(done.stdout)
    return seconds, loaded


def run(rounds: int) -> dict[str, Any]:
    """Import both in turn."""
    times: dict[str, list[float]] = {"pyro": [], "l0bayes": []}
    loaded: list[str] = []
    for module in times:
        import_once(module)  # reads the files from disk
    for _ in range(rounds):
        for module, seconds in times.items():
            taken, loaded = import_once(module)
            seconds.append(taken)
    pyro, ours = statistics.median(times["pyro"]), statistics.median(times["l0bayes"])
    return {
        "pyro_s": round(pyro, 3),
        "l0bayes_s": round(ours, 3),
        "ratio": round(ours / pyro, 3),
        "heavy_modules_loaded": loaded,
        "rounds": rounds,
        **describe(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of the import, against that of Pyro alone.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="two rounds, to see that it runs")
    parser.add_argument("--out", type=Path, help="also write the JSON here, indented")
    options = parser.parse_args()
    result = run(2 if options.quick else options.rounds)
    result = {"command": "python -m benchmarks.import_time", **result}
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
