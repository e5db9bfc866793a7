r"""How time and memory of a fit grow: with the gates, with the rows, and with the steps.

* ``gates``: :math:`y_i \sim N(z_i \theta_i, 1)` with as many gates as observations, so that nothing else is
  large. Time a step, memory at the peak and after it, all by the gate, and beside it what the parameters,
  their gradients and Adam's two averages take.
* ``rows``: a regression on 20 gated columns by minibatches of 1,000 rows. Time a step, and memory beyond the
  table.
* ``steps``: the memory of a run that goes on for an hour, minute by minute.

    python -m benchmarks.scale [--part gates rows steps] [--minutes 60] [--quick] [--out FILE]

Each size has a process of its own. Slopes are those of logarithms, between the sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

import l0bayes
from benchmarks.environment import describe
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Callback, Minibatches
from l0bayes.sites import spike_and_slab

GATES = [10**power for power in range(2, 8)]
ROWS = [10**power for power in range(3, 8)]
COLUMNS, BATCH, STEPS = 20, 1000, 30
RESULTS = Path("benchmarks/results/scale.json")


class Readings(Callback):
    """Processor time after every step, or memory at sixty moments of a run of so many minutes."""

    def __init__(self, minutes: float | None = None) -> None:
        self.times: list[float] = []
        self.memory: list[tuple[float, int, int]] = []
        self.minutes = minutes
        self._begun: float | None = None

    def after_step(self, run: Any) -> None:
        """Read them.

        Args:
            run: The run.
        """
        if self.minutes is None:
            self.times.append(time.thread_time())
            return
        self._begun = self._begun or time.monotonic()
        passed = time.monotonic() - self._begun
        if passed > self.minutes * (len(self.memory) + 1):
            self.memory.append((round(passed), run.done, resident()))
        if passed > 60 * self.minutes:
            run.stop("time is up")

    @property
    def step(self) -> float:
        """Seconds a step, a median over the second half."""
        steps = np.diff(self.times[len(self.times) // 2 :])
        return float(np.median(steps))


def resident() -> int:
    """Memory of this process now, in bytes."""
    return _status("VmRSS")


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return _status("VmHWM")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


def of_gates(count: int) -> dict[str, Any]:
    """A fit with so many gates.

    Args:
        count: The number.
    """
    y = torch.randn(count, generator=torch.Generator().manual_seed(0))

    def model(y: Tensor) -> None:
        beta = spike_and_slab("beta", 0.1, dist.Normal(0.0, 1.0).expand([count]).to_event(1))
        pyro.sample("y", dist.Normal(beta, 1.0).to_event(1), obs=y)

    before = resident()
    guide = AutoHardConcrete(model, (y,))
    readings = Readings()
    l0bayes.fit(model, guide, y, steps=STEPS, log_every=10, progress=False, callbacks=[readings])
    needed = 4 * sum(parameter.numel() * parameter.element_size() for parameter in guide.parameters())
    return {
        "gates": count,
        "step_ms": 1e3 * readings.step,
        "needed_bytes": needed,
        "peak_bytes": peak() - before,
        "resident_bytes": resident() - before,
    }


def of_rows(count: int) -> dict[str, Any]:
    """A fit on so many rows.

    Args:
        count: The number.
    """
    x, y = _table(count)
    guide, model = _regression(count)
    before, readings = resident(), Readings()
    batches = Minibatches(x, y, batch_size=min(BATCH, count))
    l0bayes.fit(model, guide, batches, steps=STEPS, log_every=10, progress=False, callbacks=[readings])
    return {
        "rows": count,
        "step_ms": 1e3 * readings.step,
        "table_bytes": x.nbytes + y.nbytes,
        "peak_bytes": peak() - before,
    }


def of_steps(minutes: float) -> dict[str, Any]:
    """A fit that goes on for a while.

    Args:
        minutes: How long.
    """
    with tempfile.TemporaryDirectory() as folder:
        guide, model = _regression(10_000)
        readings = Readings(minutes)
        batches = Minibatches(*_table(10_000), batch_size=BATCH)
        l0bayes.fit(
            model,
            guide,
            batches,
            steps=10**9,
            log_every=1000,
            progress=False,
            callbacks=[readings],
            checkpoint=Path(folder) / "run.ckpt",
        )
        seconds, steps, memory = zip(*readings.memory, strict=True)
        late = len(seconds) // 10
        slope = float(np.polyfit(steps[late:], memory[late:], 1)[0])
        return {
            "minutes": minutes,
            "steps": steps[-1],
            "seconds": seconds,
            "resident_bytes": memory,
            "bytes_a_million_steps": round(1e6 * slope),
        }


def _regression(rows: int) -> tuple[AutoHardConcrete, Any]:
    def model(x: Tensor, y: Tensor) -> None:
        beta = spike_and_slab("beta", 0.2, dist.Normal(0.0, 1.0).expand([COLUMNS]).to_event(1))
        with pyro.plate("rows", rows, subsample=torch.arange(len(x))):  # drawn by the batches
            pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)

    return AutoHardConcrete(model, (torch.zeros(2, COLUMNS), torch.zeros(2))), model


def _table(rows: int) -> tuple[Tensor, Tensor]:
    x, y = torch.empty(rows, COLUMNS), torch.empty(rows)
    generator = torch.Generator().manual_seed(0)
    for begin in range(0, rows, 100_000):  # no second table stands beside it
        part = slice(begin, begin + 100_000)
        x[part].normal_(generator=generator)
        y[part].normal_(generator=generator).add_(x[part, 0]).sub_(x[part, 1])
    return x, y


def slopes(found: list[dict[str, Any]], size: str, value: str) -> list[float]:
    """Slopes of a logarithm in the logarithm of the size, from one size to the next.

    Args:
        found: The measurements.
        size: Name of the size.
        value: Name of what grows.
    """
    points = [(math.log(one[size]), math.log(one[value])) for one in found]
    return [round((b[1] - a[1]) / (b[0] - a[0]), 3) for a, b in pairwise(points)]


def _alone(part: str, size: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale", "--one", part, str(size)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def _measure(part: str, sizes: list[int]) -> dict[str, Any]:
    found = [_alone(part, size) for size in sizes]
    keys = ["step_ms", "peak_bytes"]
    return {"sizes": found, "slopes": {key: slopes(found, part, key) for key in keys}}


def main() -> None:
    """Measure and print everything as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parts = ["gates", "rows", "steps"]
    parser.add_argument("--part", nargs="+", choices=parts, default=parts)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results; others' parts stay")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        part, size = options.one
        measure = {"gates": of_gates, "rows": of_rows}.get(part)
        print(json.dumps(measure(int(size)) if measure else of_steps(float(size))))
        return
    results = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else {}
    results |= {"command": "python -m benchmarks.scale", **describe()}
    for part in options.part:
        if part == "steps":
            results[part] = _alone(part, options.minutes)
        else:
            sizes = {"gates": GATES, "rows": ROWS}[part]
            results[part] = _measure(part, sizes[:2] if options.quick else sizes)
        options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
