"""A hundred thousand and a million genotypes: probabilities against long chains, time, and memory.

Genotypes are counts of two alleles in linkage blocks of fifty, as int8 in a ``.npy`` file that is mapped, or
as float32 in memory. Each fit runs in a process of its own, so that peak memory is that fit's alone. The
reference is the library's own sampler at several times its length, from another seed and with larger working
sets; ``millipede`` (pip install --no-deps millipede-regression), where it is installed, is independent of it:
it runs on the same model at 100,000 columns, with a subset of 5,000, for as long as it is given.

About 10 minutes on two cores, and 1.2 GB on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.selection.huge import memory
from benchmarks.selection.records import Array, Row, largest_error, timed
from l0bayes.estimators import SpikeSlabRegressor
from l0bayes.selection import WideDiagnostics, WideOptions

__all__ = ["beside_millipede", "genome", "measure", "write_genotypes"]

_ROWS, _BLOCK, _CORRELATION, _ACTIVE = 1000, 50, 0.95, 10.0
_EFFECTS = (0.6, -0.5, 0.45, -0.4, 0.35, -0.3, 0.25, -0.22, 0.2, -0.18)
_SIZES = ((100_000, "float32"), (1_000_000, "int8"))
_THREADS = 1
_RUNS: dict[str, dict[str, Any]] = {
    "default": {},
    "long": {"steps": 2700, "target_mcse": 0.0, "working_set": 2000, "others": 100},
}
_MILLIPEDE_SECONDS = 240.0


def genome(seeds: int = 1, sizes: tuple[tuple[int, str], ...] = _SIZES) -> dict[str, Any]:
    """Every size, and ``millipede`` at the first one.

    Args:
        seeds: Fits of each size.
        sizes: Numbers of columns, and how they are stored.
    """
    runs: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for columns, kind in sizes:
            path = write_genotypes(Path(folder), columns, kind)
            long = _apart(path, kind, "long", 100)
            truth = np.array(long.pop("pip"))
            runs.append(long)
            for seed in range(seeds):
                row = _apart(path, kind, "default", seed)
                pip = np.array(row.pop("pip"))
                row["pip_error"] = largest_error(pip, truth)
                row["same_effects"] = sorted(np.flatnonzero(pip > 0.5)) == sorted(np.flatnonzero(truth > 0.5))
                runs.append(row)
            if (columns, kind) == sizes[0]:
                runs += _millipede(path, truth)
            path.unlink()
    return {"runs": runs}


def beside_millipede(seeds: int = 1, columns: int = 100_000) -> dict[str, Any]:
    """Our runs and those of ``millipede`` on the same columns, and how much longer it takes to our error.

    Processor seconds are compared, which other processes on the machine do not change; where ``millipede``
    does not come to our error in the time it is given, its time is a lower bound.

    Args:
        seeds: Fits of ours.
        columns: Number of columns.
    """
    runs: list[Row] = genome(seeds, ((columns, "float32"),))["runs"]
    ours = [run for run in runs if run["what"] == "default"]
    theirs = [run for run in runs if run["what"] == "millipede"]
    if not theirs:
        return {"runs": runs, "note": "millipede is not installed: there is nothing to compare with"}
    goal = max(run["pip_error"] for run in ours)
    there = [run for run in theirs if run["pip_error"] <= goal]
    last = there[0] if there else theirs[-1]
    cost = max(run["cpu_seconds"] for run in ours)
    return {
        "runs": runs,
        "our_error": goal,
        "their_error": last["pip_error"],
        "reached": bool(there),
        "cpu_ratio": last["cpu_seconds"] / cost,
    }


def write_genotypes(folder: Path, columns: int, kind: str, seed: int = 0) -> Path:
    """Write the columns to a ``.npy`` file, and the response beside it.

    Args:
        folder: Where.
        columns: Number of columns.
        kind: ``"int8"`` or ``"float32"``.
        seed: Seed.
    """
    path = folder / f"x-{columns}.npy"
    x = np.lib.format.open_memmap(path, mode="w+", dtype=np.int8, shape=(_ROWS, columns))
    rng = np.random.default_rng([seed, columns])
    for first in range(0, columns, _BLOCK):
        last = min(first + _BLOCK, columns)
        z = rng.standard_normal((_ROWS, 2, last - first), dtype=np.float32)
        for j in range(1, last - first):
            z[:, :, j] = _CORRELATION * z[:, :, j - 1] + (1.0 - _CORRELATION**2) ** 0.5 * z[:, :, j]
        x[:, first:last] = (z > rng.uniform(0.0, 1.2, last - first)).sum(1)
    active = rng.choice(columns, len(_EFFECTS), replace=False)
    signal = x[:, active].astype(float)
    signal = (signal - signal.mean(0)) / signal.std(0)
    y = signal @ np.array(_EFFECTS) + rng.normal(size=_ROWS)
    np.save(folder / f"y-{columns}.npy", y)
    np.save(folder / f"active-{columns}.npy", active)
    x.flush()
    return path


def _response(path: Path) -> Array:
    return np.asarray(np.load(path.with_name(path.name.replace("x-", "y-"))))


def measure(path: Path, kind: str, run: str, seed: int) -> Row:
    """Fit one file in this process.

    Args:
        path: The columns.
        kind: ``"int8"`` for a memory map, ``"float32"`` for an array in memory.
        run: ``"default"`` or ``"long"``.
        seed: Seed.
    """
    torch.set_num_threads(_THREADS)
    x, y = np.load(path, mmap_mode="r"), _response(path)
    if kind == "float32":
        x = x.astype(np.float32)
    baseline = memory("VmRSS") - (x.nbytes if kind == "float32" else 0)
    options = WideOptions(**_RUNS[run])
    estimator = SpikeSlabRegressor(
        inclusion=_ACTIVE / x.shape[1], slab_scale=1.0, slab_scaled_by_noise=True, noise_prior=(1.0, 1.0),
        intercept_scale=float("inf"), engine="wide", options=options, random_state=seed,
    )  # fmt: skip
    fitted, cost = timed(lambda: estimator.fit(x, y))
    found = fitted.posterior_.diagnostics
    assert isinstance(found, WideDiagnostics)
    return {
        "p": x.shape[1],
        "n": x.shape[0],
        "stored": kind,
        "what": run,
        "seed": seed,
        "data_bytes": x.nbytes,
        "baseline_bytes": baseline,
        "peak_minus_baseline_bytes": memory("VmHWM") - baseline,
        **cost,
        "verdict": fitted.trust_.verdict,
        "mcse": found.largest_mcse,
        "flips": found.flips,
        "passes": found.passes,
        "anchors": found.anchors,
        "outside": found.outside,
        "outside_error": found.outside_error,
        "expected_size": float(fitted.pip_.sum()),
        "above_half": int((fitted.pip_ > 0.5).sum()),
        "pip": fitted.pip_.tolist(),
    }


def _apart(path: Path, kind: str, run: str, seed: int) -> Row:
    """:func:`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.selection.genome", str(path), kind, run, str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(_THREADS)}
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    found: Row = json.loads(text.splitlines()[-1])
    return found


def _millipede(path: Path, truth: Array) -> list[Row]:
    """Its error after longer and longer runs; none where it is not installed."""
    try:
        from millipede import NormalLikelihoodVariableSelector
    except ImportError:
        return []
    import pandas as pd

    torch.set_num_threads(_THREADS)
    x, y = np.load(path).astype(float), _response(path)
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])]).assign(y=y)
    rows: list[Row] = []
    steps = 250
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = NormalLikelihoodVariableSelector(
                frame, "y", S=_ACTIVE, tau=1.0, nu0=2.0, lambda0=1.0, include_intercept=False,
                precompute_XX=False, subset_size=5000,
            )  # fmt: skip
            _, cost = timed(lambda: other.run(T=steps, T_burnin=steps // 5, verbosity=None, seed=0))  # noqa: B023
        error = largest_error(np.asarray(other.pip), truth)
        rows.append({"p": x.shape[1], "what": "millipede", "steps": steps, "pip_error": error, **cost})
        if 3.0 * cost["seconds"] > _MILLIPEDE_SECONDS:
            return rows
        steps *= 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.genome")
    parser.add_argument("path", type=Path)
    parser.add_argument("kind")
    parser.add_argument("run")
    parser.add_argument("seed", type=int)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.path, chosen.kind, chosen.run, chosen.seed)))
