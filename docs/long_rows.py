"""The table of the long runs, read from their results when the pages are built."""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

__all__ = ["long_rows"]

_NAMES = {
    "lenet-5-20": "LeNet-5-Caffe, units, 20 ×",
    "lenet-5-one-fit": "LeNet-5-Caffe, units, 20 ×, by one `fit`",
    "lenet-5-30": "LeNet-5-Caffe, units, 30 ×",
    "lenet-300-100-20": "LeNet-300-100, units and pixels, 20 ×",
    "lenet-300-100-weights": "LeNet-300-100, single weights, 100 ×",
}
ABSENT = "not measured"


def long_rows(results: Path) -> dict[str, str]:
    """Markdown tables of what was reached and of the recipes, and what was run.

    Args:
        results: Folder of the results.
    """
    found: dict[str, Any] = json.loads((results / "training-long.json").read_text("utf-8"))
    machine = found["machine"]
    order = [*_NAMES, *(name for name in found["rows"] if name not in _NAMES)]
    named = [(name, found["rows"][name]) for name in order if name in found["rows"]]
    rows = [(name, row) for name, row in named if row["runs"]]
    return {
        "table": _table(
            "network and gates | seeds | test error (%), each | MACs, dense over deployed | "
            "weights, dense over deployed | time, share of the dense network's | deployed",
            [_reached(name, row["runs"]) for name, row in rows],
        ),
        "rivals": _table(
            "network and gates | trained from scratch | seeds | test error (%), each | time",
            [cells for name, row in rows for cells in _rivals(name, row["runs"])],
        ),
        "recipes": _table("row | recipe", [[name, _recipe(row["recipe"])] for name, row in rows]),
        "about": f"`{found['command']}` ({machine['processor']}, torch {found['versions']['torch']})",
    }


def _table(head: str, rows: list[list[str]]) -> str:
    lines = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(lines)


def _reached(name: str, runs: list[dict[str, Any]]) -> list[str]:
    return [
        _NAMES.get(name, name),
        str(len(runs)),
        _errors(runs),
        _spread([run["macs_factor"] for run in runs], 1, " ×"),
        _spread([run["params_factor"] for run in runs], 1, " ×"),
        _spread([run["time"] for run in runs], 2),
        "; ".join(run["widths"] for run in runs),
    ]


def _rivals(name: str, runs: list[dict[str, Any]]) -> list[list[str]]:
    kinds = {"dense": "the dense network", "found": "its architecture", "thin": "thinned alike"}
    cells = []
    for kind, words in kinds.items():
        rivals = [run["rivals"][kind] for run in runs if kind in run.get("rivals", {})]
        if rivals:
            times = _spread([rival["time"] for rival in rivals], 2)
            cells.append([_NAMES.get(name, name), words, str(len(rivals)), _errors(rivals), times])
    return cells


def _errors(runs: list[dict[str, Any]]) -> str:
    """The errors of all seeds; those on validation images where the test set has not been read."""
    part = "test" if all("test_error" in run for run in runs) else "validation"
    note = "" if part == "test" else " (validation)"
    return ", ".join(f"{run[f'{part}_error']:.2f}" for run in runs) + note


def _spread(values: list[float], digits: int, unit: str = "") -> str:
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}{unit}" if len(values) > 1 else f"{text}{unit}"


def _recipe(recipe: dict[str, Any]) -> str:
    parts = [f"target `{recipe['target']}`"]
    if recipe["gates"] == "weight":
        parts.append(f"search of {recipe['epochs']} epochs")
    else:
        share = recipe.get("search_share") or 0.25  # what older runs took
        search = f"search of {share * recipe['epochs']:g} epochs"
        parts.append(search if recipe["stop_at_cut"] else f"`fit` of {recipe['epochs']} epochs, {search}")
    if recipe["more_epochs"]:
        parts.append(f"{recipe['more_epochs']} epochs more")
    rates = f"rates {recipe['lr']:g}"
    parts.append(f"{rates} and {recipe['gate_lr']:g} (gates)" if recipe["gate_lr"] else rates)
    if recipe["weight_decay"]:
        parts.append(f"L2 penalty of {recipe['weight_decay']:g} nats")
    if recipe["dropout"]:
        parts.append(f"dropout {recipe['dropout']:g}")
    parts.append(f"shifts of up to {recipe['shifts']} pixel" if recipe["shifts"] else "images as they are")
    return ", ".join(parts)
