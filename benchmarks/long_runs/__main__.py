"""Long runs on MNIST that find a small network: error, size and time, epoch by epoch.

    python -m benchmarks.long_runs [--rows NAME ...] [--seeds 3] [--test] [--out FILE] [--keep FOLDER]

Each row is a recipe of ``recipes.py``: ``fit(..., target=..., shrink=True)`` finds the network, which is then
trained on as a plain one. With ``--rivals`` the dense network, the deployed architecture and the network with
all hidden layers narrowed alike to the same MACs are trained from scratch, as many epochs.

A run is written to the results as soon as it is over, and is not repeated when the command is given again;
its network stays in ``--keep``. The test images are read by ``--test`` alone, once for each run, when all
recipes have been chosen. Times are processor's seconds on one thread, beside those of steps of the dense
network that are taken in between.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import l0bayes
from benchmarks.environment import describe
from benchmarks.long_runs.one_run import run_rival, run_seed, scores_of, training_data
from benchmarks.long_runs.recipes import RECIPES, RIVALS

RESULTS = Path("benchmarks/results/training-long.json")


def main() -> None:
    """Train what is not there yet, or read the test set, and print everything as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_runs")
    parser.add_argument("--rows", nargs="*", choices=sorted(RECIPES), default=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=[], help="trained from scratch too")
    parser.add_argument("--test", action="store_true", help="read the test set where it is unread")
    parser.add_argument("--quick", action="store_true", help="500 images, to see that it runs")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results")
    parser.add_argument("--keep", type=Path, default=Path("long_runs"), help="folder of networks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = 500 if options.quick else None
    for name in options.rows:
        for seed in range(options.seeds):
            if options.test:
                _read_test(options, name, seed)
                continue
            _train(options, name, seed, images)
            for rival in options.rivals:
                _train_rival(options, name, seed, rival, images)
    print(json.dumps(_results(options.out)))


def _results(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {"command": "python -m benchmarks.long_runs", "threads": 1, "rows": {}, **describe()}
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def _write(file: Path, results: dict[str, Any]) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    new.replace(file)


def _run_of(results: dict[str, Any], name: str, seed: int) -> dict[str, Any] | None:
    recipe = json.loads(json.dumps(asdict(RECIPES[name])))
    row = results["rows"].setdefault(name, {"recipe": recipe, "runs": []})
    if row["recipe"] != recipe:
        raise ValueError(f"the results hold runs of {name!r} by another recipe; give another file as --out")
    return next((run for run in row["runs"] if run["seed"] == seed), None)


def _train(options: argparse.Namespace, name: str, seed: int, images: int | None) -> None:
    if _run_of(_results(options.out), name, seed) is not None:
        return
    recipe = RECIPES[name]
    run = run_seed(recipe, training_data(recipe, images), seed, options.keep / f"{name}-{seed}")
    results = _results(options.out)
    _run_of(results, name, seed)
    results["rows"][name]["runs"].append(run)
    _write(options.out, results)


def _train_rival(options: argparse.Namespace, name: str, seed: int, rival: str, images: int | None) -> None:
    run = _run_of(_results(options.out), name, seed)
    if run is None or rival in run.get("rivals", {}):
        return
    recipe, epochs = RECIPES[name], len(run["epochs"])
    kept = options.keep / f"{name}-{seed}"
    found = run_rival(recipe, training_data(recipe, images), seed, epochs, rival, kept)
    results = _results(options.out)
    run = _run_of(results, name, seed)
    assert run is not None
    run.setdefault("rivals", {})[rival] = found
    _write(options.out, results)


def _read_test(options: argparse.Namespace, name: str, seed: int) -> None:
    results = _results(options.out)
    run = _run_of(results, name, seed)
    if run is None:
        return
    data = training_data(RECIPES[name])
    for one, folder in _networks(run, options.keep / f"{name}-{seed}"):
        if "test_error" in one:
            continue
        one |= scores_of(l0bayes.load_deployed(folder), data.test_x, data.test_y, "test")
        _write(options.out, results)


def _networks(run: dict[str, Any], folder: Path) -> list[tuple[dict[str, Any], Path]]:
    rivals = [
        (one, folder.with_name(f"{folder.name}-{rival}")) for rival, one in run.get("rivals", {}).items()
    ]
    return [(run, folder), *rivals]


if __name__ == "__main__":
    main()
