"""What a second process brings: steps a second of LeNet-5 at one total batch, by one process and by two.

Every variant is a run of ``fit`` under ``torchrun`` on random images, with gates on all units; the first
steps, in which the graph is captured, are not counted. Variants take turns, round after round; figures are
medians over rounds of the steps a second of rank 0.

* ``one``: one process, one thread.
* ``one_two_threads``: one process, a thread for each core.
* ``two``: two processes of one thread, each with half of the batch.

    python -m benchmarks.ranks [--rounds 5] [--steps 60] [--batch 128] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import l0bayes
from benchmarks.environment import describe
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Callback, Minibatches
from l0bayes.models import LeNet5Caffe, SparseNetwork

VARIANTS = {"one": (1, 1), "one_two_threads": (1, 2), "two": (2, 1)}
NOT_COUNTED = 10


class Clock(Callback):
    """When the steps that count began and ended."""

    began = ended = 0.0

    def after_step(self, run: Any) -> None:
        if run.done == NOT_COUNTED:
            self.began = time.perf_counter()
        if run.done == run.steps:
            self.ended = time.perf_counter()


def train(steps: int, batch: int, out: Path) -> None:
    """What each process does."""
    torch.manual_seed(0)
    x, y = torch.rand(10 * batch, 1, 28, 28), torch.randint(10, (10 * batch,))
    model = SparseNetwork(LeNet5Caffe(), example=x[:2], inclusion=L0Penalty(0.0), slab=L2Penalty(1.0))
    guide = AutoHardConcrete(model, (x[:2], y[:2]), slab="delta")
    clock, several = Clock(), int(os.environ["WORLD_SIZE"]) > 1
    batches = Minibatches(x, y, batch_size=batch)
    l0bayes.fit(
        model,
        guide,
        batches,
        steps=NOT_COUNTED + steps,
        log_every=NOT_COUNTED + steps,
        compile="graph",
        distributed=several,
        progress=False,
        callbacks=[clock],
    )
    if os.environ["RANK"] == "0":
        out.write_text(json.dumps(steps / (clock.ended - clock.began)))


def one_round(name: str, steps: int, batch: int) -> float:
    """Steps a second of a variant."""
    processes, threads = VARIANTS[name]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rate.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes), "-m", "benchmarks.ranks", "--rank-writes", str(out)]
        command += ["--steps", str(steps), "--batch", str(batch)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        return float(json.loads(out.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Steps a second by one process and by two.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rank-writes", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="also write the JSON here, indented")
    options = parser.parse_args()
    if options.rank_writes is not None:
        train(options.steps, options.batch, options.rank_writes)
        return
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name in VARIANTS:
            rates[name].append(one_round(name, options.steps, options.batch))
    medians = {name: round(statistics.median(found), 2) for name, found in rates.items()}
    result = {
        "command": "python -m benchmarks.ranks",
        "steps_a_second": medians,
        "two_to_one": round(medians["two"] / medians["one"], 3),
        "rounds": {name: [round(rate, 2) for rate in found] for name, found in rates.items()},
        "batch": options.batch,
        "steps": options.steps,
        "seed": 0,
        **describe(),
    }
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
