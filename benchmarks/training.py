"""What training costs that finds a small network: time and error beside dense training and small networks.

    python -m benchmarks.training [--seeds 3] [--quick] [--out FILE]

Four networks are trained on the same images, epochs and seeds, by Adam at 2e-3, which falls linearly over the
second half, on one thread:

* ``dense``: the whole network;
* ``ours``: gates on every unit, or on what else a row says, ``l0bayes.fit(..., target=..., shrink=True)``,
  and what is deployed of it; gates on single weights are trained without ``shrink``, as nothing can be
  taken out;
* ``found``: the architecture that was deployed, the pixels and units that it selects included, from scratch;
* ``thin``: the network with all its hidden layers narrowed alike to the same multiply-accumulates, from
  scratch.

They take turns, seed by seed, so that whatever else the machine does meets them alike. Times are seconds of
the processor; ``ours`` is from the dense network to the deployed one, and ``fit_seconds`` the part of it that
``fit`` takes. Errors are those of the 5,000 validation images in per cent; the test set is not read.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import nn

import l0bayes
from benchmarks.environment import describe
from benchmarks.training_networks import network, thin_network, widths_of
from l0bayes.apps.train import RunConfig
from l0bayes.apps.train.training_job import run_data
from l0bayes.datasets import Split
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Linear, Minibatches
from l0bayes.models import SparseNetwork
from l0bayes.network import count_macs, count_nonzero, fresh_network, network_times

LR = 2e-3
BATCH = 128


class Row(NamedTuple):
    """One comparison: a network, a budget, a target, where gates are, and how they start and are drawn."""

    net: str
    images: int
    epochs: int
    target: float
    per_example_gates: bool
    init_active: float = 0.95
    gates: Any = None  # the network's own placement
    cost: str = "macs"


ROWS = [
    Row("lenet-300-100", 10_000, 8, 0.0995, False, 0.98),
    Row("lenet-300-100", 5_000, 3, 0.0995, False, 0.98),
    Row("lenet-300-100", 5_000, 8, 0.0995, False, 0.98),
    Row("lenet-5-caffe", 10_000, 8, 0.0525, True),
    Row("lenet-5-caffe", 5_000, 3, 0.0525, True),
    Row("lenet-5-caffe", 5_000, 8, 0.0525, True),
    Row("residual", 5_000, 4, 0.3, True),
    Row("residual", 5_000, 4, 0.5, False, gates={"group1.*": "block", "group2.1": "block"}),
    Row("residual", 5_000, 4, 0.1, False, gates="weight", cost="params"),
    Row("transformer", 5_000, 4, 0.3, False),
    Row("convolutional", 5_000, 3, 0.1, False),
    Row("convolutional", 5_000, 8, 0.1, False),
    Row("two-halves", 5_000, 3, 0.1, False),
    Row("two-halves", 5_000, 8, 0.1, False),
    Row("residual", 5_000, 3, 0.15, False, gates="input"),
    Row("residual", 5_000, 8, 0.15, False, gates="input"),
]


def train_plain(net: nn.Module, batches: Minibatches, epochs: int) -> float:
    """Train a plain network; the seconds it took."""
    started = time.process_time()
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)
    schedule, steps, done = Linear(1.0, 0.01, begin=0.5), epochs * len(batches), 0
    for epoch in range(epochs):
        for x, y in batches.epoch(epoch):
            optimizer.param_groups[0]["lr"] = LR * schedule(done / steps)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            done += 1
    return time.process_time() - started


def train_ours(row: Row, data: Split, batches: Minibatches, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """Search, cut and train on; the deployed network, and what was measured."""
    started = time.process_time()
    x, y = data.train_x, data.train_y
    model = SparseNetwork(
        network(row.net),
        gates=row.gates,
        inclusion=L0Penalty(0.0),
        slab=L2Penalty(0.0),
        num_data=len(x),
        example=x[:2],
    )
    guide = AutoHardConcrete(model, (x[:2], y[:2]), slab="delta", init_active=row.init_active)
    begun = time.process_time()
    fit = l0bayes.fit(
        model,
        guide,
        batches,
        epochs=row.epochs,
        lr=LR,
        target=f"{row.cost}:{row.target}",
        shrink=row.gates != "weight",
        per_example_gates=row.per_example_gates,
        seed=seed,
        progress=False,
    )
    fitted = time.process_time()
    small = model.deploy(guide)
    seconds = time.process_time() - started
    decided = None if fit.decision is None else fit.decision.step
    return small, {"seconds": seconds, "fit_seconds": fitted - begun, "decided_at": decided}


def error_of(net: nn.Module, data: Split) -> float:
    """Validation error in per cent."""
    with torch.no_grad():
        net.eval()
        return 100.0 * float((net(data.valid_x).argmax(1) != data.valid_y).float().mean())


def compare(row: Row, seeds: int) -> dict[str, Any]:
    """All networks of a row, seed by seed."""
    data = run_data(RunConfig(net=row.net, train_size=row.images))
    runs = [_one_seed(row, data, seed) for seed in range(seeds)]
    return {**row._asdict(), "summary": summarise(runs), "runs": runs}


def _one_seed(row: Row, data: Split, seed: int) -> dict[str, Any]:
    batches = Minibatches(data.train_x, data.train_y, batch_size=BATCH, seed=seed)
    example = data.train_x[:1]

    def plain(make: Callable[[], nn.Module]) -> dict[str, Any]:
        torch.manual_seed(seed)
        net = make()
        return _measured(net, data, train_plain(net, batches, row.epochs))

    dense = plain(lambda: network(row.net))
    torch.manual_seed(seed)
    small, measured = train_ours(row, data, batches, seed)
    ours = _measured(small, data, measured.pop("seconds")) | measured
    found = {
        "dense": dense,
        "ours": ours,
        "found": plain(lambda: fresh_network(small, seed, like=network(row.net))),
        "thin": plain(lambda: thin_network(row.net, ours["macs"], example)),
    }
    _time_runs(found, data)
    return {"seed": seed, **found}


def _measured(net: nn.Module, data: Split, seconds: float) -> dict[str, Any]:
    macs = count_macs(net, (data.train_x[:1],))
    return {
        "error": error_of(net, data),
        "seconds": seconds,
        "macs": macs,
        "parameters": count_nonzero(net),
        "widths": widths_of(net),
        "net": net,
    }


def _time_runs(found: dict[str, dict[str, Any]], data: Split) -> None:
    """Time a run of each network at batch sizes 1 and 100, in turns; the networks are then left out."""
    nets = [one.pop("net") for one in found.values()]
    for rows in (1, 100):
        times = network_times(nets, (data.train_x[:rows],))
        for one, taken in zip(found.values(), times, strict=True):
            one.setdefault("latency_ms", {})[str(rows)] = None if taken is None else 1e3 * taken


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over seeds; times and sizes as shares of the dense network's."""
    summary: dict[str, Any] = {}
    for kind in ("dense", "ours", "found", "thin"):
        pairs = [(run[kind], run["dense"]) for run in runs]
        summary[kind] = {
            "error": round(median(one["error"] for one, _ in pairs), 2),
            "time": round(median(one["seconds"] / dense["seconds"] for one, dense in pairs), 3),
            "macs": round(median(one["macs"] / dense["macs"] for one, dense in pairs), 4),
        }
        if all("latency_ms" in run[kind] for run in runs):  # older results have none
            summary[kind]["parameters"] = round(median(one["parameters"] for one, _ in pairs))
            for rows in ("1", "100"):
                ratios = [one["latency_ms"][rows] / dense["latency_ms"][rows] for one, dense in pairs]
                summary[kind][f"latency_{rows}"] = round(median(ratios), 3)
    fits = (run["ours"]["fit_seconds"] / run["dense"]["seconds"] for run in runs)
    summary["ours"]["fit_time"] = round(median(fits), 3)
    return summary


def main() -> None:
    """Run the comparisons and print them as JSON."""
    parser = argparse.ArgumentParser(description="Time and error of training that finds a small network.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="*", help="numbers of the rows, from 0; by default all")
    parser.add_argument("--quick", action="store_true", help="one seed, 1,000 images, 2 epochs")
    parser.add_argument("--out", type=Path, help="also write the JSON here, indented")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = ROWS if options.rows is None else [ROWS[index] for index in options.rows]
    if options.quick:
        chosen = [row._replace(images=1000, epochs=2) for row in chosen if row.images == 10_000]
    seeds = 1 if options.quick else options.seeds
    compare(ROWS[0]._replace(images=500, epochs=1), 1)  # whatever is imported at first use
    rows = [compare(row, seeds) for row in chosen]
    result = {
        "command": "python -m benchmarks.training" + (" --quick" if options.quick else ""),
        "batch": BATCH,
        "lr": LR,
        "threads": 1,
        "rows": rows,
        **describe(),
    }
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
