"""Minibatch SVI on many columns: memory, time per epoch, and whether the effects are found.

Each size runs in a process of its own, so that peak memory is that size's alone. Seconds an epoch are
those of the whole fit, with the capture of the graph. The epochs are as many as it takes to find the effects
among 25,000 columns; a few would only time it. About 2 minutes in all.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import l0bayes
from benchmarks.selection.records import Row, timed, worst
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseRegression

__all__ = ["huge", "measure", "memory"]

_SIZES = (25_000, 50_000, 100_000)
_EFFECTS = (2.0, -2.0, 1.5, 1.0, -1.0)
_ROWS, _BATCH, _EPOCHS = 1000, 100, 200


def huge(sizes: tuple[int, ...] = _SIZES) -> dict[str, Any]:
    """All sizes, each in a process of its own.

    Args:
        sizes: Numbers of columns.
    """
    rows = []
    for columns in sizes:
        command = [sys.executable, "-m", "benchmarks.selection.huge", str(columns)]
        text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append(json.loads(text.splitlines()[-1]))
    return {"runs": rows, "worst": worst(rows, ("p",), ("seconds_per_epoch", "peak_minus_baseline_bytes"))}


def measure(columns: int, epochs: int = _EPOCHS) -> Row:
    """Fit one size in this process.

    Args:
        columns: Number of columns.
        epochs: Passes over the rows.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    baseline = memory("VmRSS")
    x = torch.randn(_ROWS, columns)
    y = x[:, : len(_EFFECTS)] @ torch.tensor(_EFFECTS) + torch.randn(_ROWS)
    model = SparseRegression(columns, expected_active=10.0, noise_scale=1.0, num_data=_ROWS)
    guide = AutoHardConcrete(model, (x[:_BATCH], y[:_BATCH]), temperature=0.1)
    batches = Minibatches(x, y, batch_size=_BATCH)
    _, cost = timed(
        lambda: l0bayes.fit(model, guide, batches, epochs=epochs, compile="graph", progress=False)
    )
    peak = memory("VmHWM")
    pips = guide.gates()["beta.gate"].activity_logits.detach().double().sigmoid()
    return {
        "p": columns,
        "n": _ROWS,
        "batch": _BATCH,
        "epochs": epochs,
        "seconds_per_epoch": cost["seconds"] / epochs,
        "cpu_seconds_per_epoch": cost["cpu_seconds"] / epochs,
        "guide_bytes": sum(v.numel() * v.element_size() for v in guide.state_dict().values()),
        "data_bytes": x.numel() * x.element_size(),
        "baseline_bytes": baseline,
        "peak_bytes": peak,
        "peak_minus_baseline_bytes": peak - baseline,
        **_recovery(pips),
    }


def _recovery(pips: torch.Tensor) -> Row:
    """Whether the columns with an effect, which are the first, have the largest probabilities."""
    count = len(_EFFECTS)
    largest = sorted(pips.argsort(descending=True)[:count].tolist())
    return {
        "largest": largest,
        "recovered": sum(j < count for j in largest),
        "all_recovered": largest == list(range(count)),
        "pip_of_effects": pips[:count].tolist(),
        "largest_pip_of_others": float(pips[count:].max()),
    }


def memory(name: str) -> int:
    """Bytes that this process has, or had at most, in memory.

    Args:
        name: ``"VmRSS"`` or ``"VmHWM"``.

    Linux's own counters start anew with a program; ``ru_maxrss`` takes over the parent's.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text("utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.huge")
    parser.add_argument("columns", type=int)
    print(json.dumps(measure(parser.parse_args().columns)))
