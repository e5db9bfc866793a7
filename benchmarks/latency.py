"""Networks trained to a time: what was asked for, and what a run of the deployed network takes.

    python -m benchmarks.latency [--quick] [--out FILE]

``target="latency:share@rows"`` with and without ``shrink=True`` on MNIST. Times of the deployed network and
of the dense one are measured anew after training, in turns, on one thread, as seconds of the processor;
``measured`` is the median of their ratio over five such measurements. Errors are those of the validation
images in per cent.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

import l0bayes
from benchmarks.environment import describe
from benchmarks.training import BATCH, LR, error_of
from benchmarks.training_networks import network, widths_of
from l0bayes.apps.train import RunConfig
from l0bayes.apps.train.training_job import run_data
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches, TargetWarning
from l0bayes.models import SparseNetwork
from l0bayes.network import count_macs, network_times

MEASUREMENTS = 5


class Case(NamedTuple):
    """A network and what is asked of it."""

    net: str
    target: float
    rows: int
    shrink: bool
    epochs: int


CASES = [
    Case("lenet-300-100", 0.3, 100, True, 6),
    Case("lenet-300-100", 0.3, 100, False, 20),
    Case("lenet-5-caffe", 0.2, 100, True, 6),
    Case("lenet-5-caffe", 0.5, 100, True, 6),
    Case("lenet-5-caffe", 0.6, 1, True, 6),
]


def measure(case: Case, images: int, seed: int = 0) -> dict[str, Any]:
    """Train to a target and measure what was deployed."""
    data = run_data(RunConfig(net=case.net, train_size=images))
    x, y = data.train_x, data.train_y
    torch.manual_seed(seed)
    dense = network(case.net)
    model = SparseNetwork(
        dense, inclusion=L0Penalty(0.0), slab=L2Penalty(0.0), num_data=len(x), example=x[:2]
    )
    guide = AutoHardConcrete(model, (x[:2], y[:2]), slab="delta", init_active=0.95)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TargetWarning)  # the ratio is what is reported
        l0bayes.fit(
            model,
            guide,
            Minibatches(x, y, batch_size=BATCH, seed=seed),
            epochs=case.epochs,
            lr=LR,
            gate_lr=0.1,
            target=f"latency:{case.target}@{case.rows}",
            shrink=case.shrink,
            seed=seed,
            progress=False,
        )
    small, rows = model.deploy(guide), x[: case.rows]
    ratios, times = [], []
    for _ in range(MEASUREMENTS):
        found = network_times([dense, small], (rows,))
        slow, fast = (float(one or "nan") for one in found)
        ratios.append(fast / slow)
        times.append([1e3 * slow, 1e3 * fast])
    return {
        **case._asdict(),
        "images": images,
        "measured": round(median(ratios), 4),
        "ratios": ratios,
        "dense_ms": median(one for one, _ in times),
        "deployed_ms": median(one for _, one in times),
        "macs": count_macs(small, (x[:1],)) / model.cost.dense["macs"],
        "widths": widths_of(small),
        "error": error_of(small, data),
    }


def main() -> None:
    """Train all cases and print what was measured as JSON."""
    parser = argparse.ArgumentParser(description="Networks trained to a time, and the time that they take.")
    parser.add_argument("--quick", action="store_true", help="one case, 1,000 images, 2 epochs")
    parser.add_argument("--out", type=Path, help="also write the JSON here, indented")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = [CASES[0]._replace(epochs=2)] if options.quick else CASES
    result = {
        "command": "python -m benchmarks.latency" + (" --quick" if options.quick else ""),
        "threads": 1,
        "rows": [measure(case, 1000 if options.quick else 10_000) for case in cases],
        **describe(),
    }
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
