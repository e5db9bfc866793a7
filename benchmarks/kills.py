"""Runs that are killed and go on end bit for bit where runs that were left alone end.

A run of ``fit`` with a checkpoint is killed (SIGKILL) once or twice and started again by the same lines until
it ends; then all parameters, buffers, the deployed network, the history in memory and on disk, the step of
the cut and the state of the random generator are compared with those of a run that nobody killed. Kills come

* at a random time of the run,
* in a write: before the k-th time that a file of the run is opened, renamed or removed, k drawn,
* in the bytes: when a file that is being written has been begun and is not whole.

    python -m benchmarks.kills [--runs 50] [--seed 0] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import describe
from benchmarks.killing.killed_runs import RUNS

KINDS = ("at a time", "in a write", "in the bytes")
_EVENTS = {"open", "os.rename", "os.remove"}
_ENDED = "ended.json"


def start(name: str, folder: Path, kill_at_event: int | None = None) -> int:
    """Start a run in a process of its own; what it ends with is in ``ended.json``.

    Args:
        name: The run.
        folder: Its folder.
        kill_at_event: Number of the event of its files at which it kills itself.

    Returns:
        The process.
    """
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        if kill_at_event is not None:
            _kill_at(kill_at_event, folder)
        told = RUNS[name](folder)
        (folder / _ENDED).write_text(json.dumps(told))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _kill_at(number: int, folder: Path) -> None:
    seen = 0

    def watch(event: str, values: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in _EVENTS and str(folder) in str(values[0]):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def _kill_when_begun(process: int, folder: Path, after: float) -> None:
    """Kill the process when a file beside the checkpoint has been begun, once it has run for a while."""
    end = time.monotonic() + after
    while not _ended(process):
        if time.monotonic() > end and any(path.name.startswith(".") for path in folder.iterdir()):
            os.kill(process, signal.SIGKILL)
            return


def _ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def killed_run(name: str, kind: str, draw: random.Random, seconds: float, events: int) -> dict[str, Any]:
    """Kill a run until it has been killed as often as drawn, and let it end.

    Args:
        name: The run.
        kind: How it is killed.
        draw: Randomness.
        seconds: How long the run takes.
        events: Events of files that the run has.

    Returns:
        What it ended with, and how often it was killed.
    """
    with tempfile.TemporaryDirectory() as place:
        folder, kills = Path(place), 0
        for _ in range(draw.choice((1, 2))):
            number = draw.randint(1, events) if kind == "in a write" else None
            process = start(name, folder, number)
            if kind == "at a time":
                _wait(process, draw.uniform(0.0, seconds))
                if not _ended(process):
                    os.kill(process, signal.SIGKILL)
            elif kind == "in the bytes":
                _kill_when_begun(process, folder, draw.uniform(0.0, seconds))
            status = os.waitpid(process, 0)[1]
            if not os.WIFSIGNALED(status):
                break  # it had ended before
            kills += 1
        if not (folder / _ENDED).exists():
            os.waitpid(start(name, folder), 0)
        ended = folder / _ENDED
        told = json.loads(ended.read_text()) if ended.exists() else None
        return {"run": name, "kind": kind, "kills": kills, "told": told}


def _wait(process: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not _ended(process):
        time.sleep(0.01)


def left_alone(name: str) -> tuple[dict[str, str], float, int]:
    """What a run ends with that nobody kills, its time, and the events of its files.

    Args:
        name: The run.
    """
    with tempfile.TemporaryDirectory() as place:
        folder, begin = Path(place), time.monotonic()
        os.waitpid(start(name, folder), 0)
        told: dict[str, str] = json.loads((folder / _ENDED).read_text())
        # About six events a record: those of the checkpoint and of the history.
        records = len((folder / "run.ckpt.jsonl").read_text().splitlines())
        return told, time.monotonic() - begin, 6 * records


def main() -> None:
    """Kill the runs and print what they ended with as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(RUNS), nargs="+", default=list(RUNS), help="runs to kill")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    draw = random.Random(options.seed)
    wanted = {name: left_alone(name) for name in options.only}
    found: list[dict[str, Any]] = []
    while len(found) < options.runs:
        name, kind = draw.choice(options.only), KINDS[len(found) % len(KINDS)]
        told, seconds, events = wanted[name]
        one = killed_run(name, kind, draw, seconds, events)
        if not one["kills"]:
            continue
        one["identical"] = one.pop("told") == told
        found.append(one)
        print(f"{len(found)}: {one}", file=sys.stderr, flush=True)
    results = {
        "command": "python -m benchmarks.kills",
        "seed": options.seed,
        "runs": len(found),
        "kills": sum(one["kills"] for one in found),
        "identical": sum(one["identical"] for one in found),
        "kinds": dict(Counter(one["kind"] for one in found)),
        "of": dict(Counter(one["run"] for one in found)),
        "not_identical": [one for one in found if not one["identical"]],
        **describe(),
    }
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
