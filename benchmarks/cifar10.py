"""WRN-16-2 on a part of CIFAR-10: do the gates of each block's first convolution close?

    python -m benchmarks.cifar10 --folder DATA [--images 1000] [--epochs 4]

A few minutes on a core. It shows that a wide residual network trains, prunes and shrinks; it says nothing of
the accuracy that such a network reaches, for which a thousand images and a few epochs are far too little.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import l0bayes
from benchmarks.environment import describe
from l0bayes.datasets import Shifts, cifar10
from l0bayes.distributions import L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseNetwork, WideResNet
from l0bayes.network import count_macs

__all__ = ["run"]


def run(folder: str | None, images: int, epochs: int, seed: int, threads: int) -> dict[str, Any]:
    """Train on the first images and say what closed.

    Args:
        folder: Where CIFAR-10 is; ``None`` to look where the library does.
        images: Number of training images.
        epochs: Passes over them.
        seed: Seed.
        threads: Threads of torch.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    data = cifar10(folder)
    x, y = data.train_x[:images], data.train_y[:images]
    model = SparseNetwork(WideResNet(16, 2), penalty=0.0, slab=L2Penalty(1.0), num_data=images, example=x[:2])
    guide = AutoHardConcrete(model, (x[:2], y[:2]), slab="delta", init_active=0.9)
    batches = Minibatches(x, y, batch_size=50, seed=seed, transform=Shifts(4))
    started = time.perf_counter()
    fit = l0bayes.fit(
        model,
        guide,
        batches,
        epochs=epochs,
        lr=2e-3,
        gate_lr=0.05,
        target="macs:0.6",
        seed=seed,
        sleep=True,
        log_every=max(1, len(batches) // 2),
        progress=False,
    )
    seconds = time.perf_counter() - started
    small = model.deploy(guide, recalibrate=x)
    with torch.no_grad():
        rows = data.valid_x[:1000]
        error = float((small(rows).argmax(-1) != data.valid_y[:1000]).double().mean())
    columns = fit.history.to_frame()
    opened = {name: columns[name].tolist() for name in map(str, columns) if name.startswith("open:")}
    return {
        "command": f"python -m benchmarks.cifar10 --folder DATA --images {images} --epochs {epochs}",
        "images": images,
        "epochs": epochs,
        "seed": seed,
        "threads": threads,
        "log_likelihood": [value / images for value in fit.history.log_likelihood],
        "open_gates": opened,
        "expected_macs_share": columns["expected_macs"].tolist(),
        "deployed_macs_share": columns["deployed_macs"].tolist(),
        "counted_macs_share": count_macs(small, (x[:2],)) / model.cost.dense["macs"],
        "validation_error_of_1000": error,
        "seconds": seconds,
        **describe(),
    }


def main() -> None:
    """Run and print as JSON."""
    parser = argparse.ArgumentParser(description="WRN-16-2 on a part of CIFAR-10.")
    parser.add_argument("--folder", help="folder of CIFAR-10")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write the JSON here, indented")
    options = parser.parse_args()
    result = run(options.folder, options.images, options.epochs, options.seed, options.threads)
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
