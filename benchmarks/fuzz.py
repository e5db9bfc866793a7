"""Damaged files for every loader: is each of them refused by a clear error, or read right?

Checkpoints, saved fits, networks and selections, tables, formulas, images, settings and netCDF files are
damaged byte by byte: bits turned, ends cut off, parts taken out, repeated or swapped, numbers set to their
bounds. A loader may refuse with ValueError, OSError or NotImplementedError and a message; anything else, half
a minute, or 4 GB of memory beyond what the process had, is a fault.

    python -m benchmarks.fuzz [--trials 10000] [--loaders table ...] [--start 0] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.environment import describe
from benchmarks.fuzzing.loaders import LOADERS
from benchmarks.fuzzing.trials import Trials

_MEMORY = 4 << 30


def limit_memory() -> None:
    """Have memory beyond the limit refused, where the system can."""
    try:
        import resource
    except ImportError:
        return
    pages = Path("/proc/self/statm")
    used = int(pages.read_text().split()[0]) * resource.getpagesize() if pages.is_file() else 0
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, resource.RLIM_INFINITY))


def main() -> None:
    parser = argparse.ArgumentParser(description="Damaged files for every loader.")
    parser.add_argument("--trials", type=int, default=10_000, help="damaged files in all")
    parser.add_argument("--start", type=int, default=0, help="number of the first trial of each loader")
    parser.add_argument("--loaders", nargs="+", choices=[*LOADERS], default=[*LOADERS])
    parser.add_argument("--out", type=Path, help="also write the JSON here, indented")
    options = parser.parse_args()
    limit_memory()
    each = -(-options.trials // len(options.loaders))
    rows, handled, started = {}, 0, time.perf_counter()
    for name in options.loaders:
        with tempfile.TemporaryDirectory() as folder:
            trials = Trials(name, LOADERS[name], Path(folder))
            outcome = trials.run(range(options.start, options.start + each))
        rows[name] = {"loaded": outcome.loaded, "refused": outcome.refused, "wrong": outcome.wrong}
        handled += outcome.loaded + outcome.refused
        print(name, outcome.loaded, outcome.refused, len(outcome.wrong), flush=True)
    result = {
        "command": "python -m benchmarks.fuzz",
        "trials": each * len(options.loaders),
        "handled": handled,
        "start": options.start,
        "seconds": round(time.perf_counter() - started),
        "loaders": rows,
        **describe(),
    }
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
