"""The rows of "Results on MNIST", read from what ``benchmarks.mnist`` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

__all__ = ["NETS", "mnist_rows"]

NETS = (
    "lenet-300-100",
    "lenet-300-100-unshifted",
    "lenet-5-caffe",
    "lenet-300-100-weights",
    "lenet-300-100-normal",
)
ABSENT = "not measured"
_WORDS = {
    "error": ("accuracy", 100.0, 2),
    "nll": ("nll", 1.0, 4),
    "ece": ("ece", 1.0, 4),
    "brier": ("brier", 1.0, 4),
}


def mnist_rows(results: Path) -> dict[str, dict[str, str]]:
    """Text of every cell, by row (``-`` written as ``_``) and name; "not measured" where there is no file.

    Args:
        results: Folder of the JSON files.
    """
    return {net.replace("-", "_"): _row(results / f"mnist-{net}.json") for net in NETS}


def _row(file: Path) -> dict[str, str]:
    if not file.is_file():
        return _absent()
    found = json.loads(file.read_text("utf-8"))
    runs = found["runs"]
    part = "test" if "test" in runs[0]["scores"] else "validation"
    note = "" if part == "test" else " (validation)"
    row = {
        "recipe": _recipe(found["recipe"]),
        "seeds": str(len(runs)),
        "architectures": "; ".join(run["architecture"] for run in runs),
        "macs_factor": _spread([run["dense_macs"] / run["deployed_macs"] for run in runs], 1, " ×"),
        "params_factor": _spread([run["dense_params"] / run["deployed_params"] for run in runs], 1, " ×"),
        # The clock of a run that was cut short and resumed has not seen all of it.
        "minutes": _spread([run["seconds"] / 60 for run in runs if not run.get("resumed")], 0),
        "machine": f"{found['machine']['cpus']} cores of an {found['machine']['processor']}",
        "torch": found["versions"]["torch"],
        "command": f"`{found['command']}`",
    }
    for kind in ("macs", "params"):
        dense = [run[f"dense_{kind}"] for run in runs]
        for word, costs in (
            ("expected", [run["costs"][f"expected_{kind}"] for run in runs]),
            ("deployed", [run[f"deployed_{kind}"] for run in runs]),
        ):
            shares = [100 * cost / whole for cost, whole in zip(costs, dense, strict=True)]
            row[f"{word}_{kind}"] = _spread(shares, 2, " %")
    for how in ("deployed", "posterior"):
        row |= _scores([run["scores"][part][how] for run in runs], how, note)
    for word, key in (("dense", "scores"), ("dense_last", "scores_last_epoch")):
        scores = [_first(run[key][part]) for run in found.get("dense", []) if key in run]
        row |= _scores(scores, word, note) if scores else dict.fromkeys(_names(word), ABSENT)
    return row


def _absent() -> dict[str, str]:
    """A row that was not measured."""
    names = ["recipe", "seeds", "architectures", "macs_factor", "params_factor", "minutes", "machine"]
    names += ["torch", "command", "expected_macs", "deployed_macs", "expected_params", "deployed_params"]
    names += [name for how in ("deployed", "posterior", "dense", "dense_last") for name in _names(how)]
    # What a reader looks at first says why the rest is empty.
    told = ("deployed_error", "dense_error", "dense_last_error", "architectures", "expected_macs", "command")
    return dict.fromkeys(names, "—") | dict.fromkeys(told, ABSENT)


def _names(how: str) -> list[str]:
    return [f"{how}_{word}" for word in _WORDS]


def _scores(scores: list[dict[str, float]], how: str, note: str) -> dict[str, str]:
    row = {}
    for word, (key, unit, digits) in _WORDS.items():
        values = [1.0 - one[key] if word == "error" else one[key] for one in scores]
        row[f"{how}_{word}"] = _spread([unit * value for value in values], digits) + note
    return row


def _first(kinds: dict[str, dict[str, float]]) -> dict[str, float]:
    """Scores of a network that has one kind of prediction."""
    return next(iter(kinds.values()))


def _recipe(recipe: dict[str, Any]) -> str:
    known = {"None": "unit gates", "weight": "weight gates"}
    gates = known.get(str(recipe["gates"]), f"gates {recipe['gates']}")
    slab = "point slabs" if recipe["slab"] == "delta" else "Normal slabs"
    parts = [
        f"{gates}, {slab}, target {recipe['target']}, {recipe['epochs']} epochs of batches of "
        f"{recipe['batch_size']}, rates {recipe['lr']:g} and {recipe['gate_lr']:g} (gates)"
    ]
    if recipe["slab"] == "delta" and recipe.get("weight_decay"):
        parts.append(f"L2 penalty of {recipe['weight_decay']:g} nats")
    if recipe.get("kl_weight", 1.0) != 1.0:
        parts.append(f"KL terms weighted by {recipe['kl_weight']:g}")
    if recipe.get("dropout"):
        parts.append(f"dropout {recipe['dropout']:g}")
    parts.append("gates of each example" if recipe.get("per_example_gates") else "gates of each batch")
    parts.append(
        f"shifts of up to {recipe['shifts']} pixel" if recipe.get("shifts") else "images as they are"
    )
    return ", ".join(parts)


def _spread(values: list[float], digits: int, unit: str = "") -> str:
    if not values:
        return "—"
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}{unit}" if len(values) > 1 else f"{text}{unit}"
