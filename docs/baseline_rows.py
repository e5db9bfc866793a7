"""The table of networks beside rivals from scratch, read from what ``benchmarks.mnist --baseline`` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

__all__ = ["baseline_rows"]

NETS = {
    "lenet-300-100": "LeNet-300-100, units",
    "lenet-300-100-unshifted": "LeNet-300-100, units, unshifted images",
    "lenet-5-caffe": "LeNet-5-Caffe, units",
    "lenet-300-100-weights": "LeNet-300-100, weights",
    "lenet-300-100-normal": "LeNet-300-100, units, Normal slabs",
}
BASELINES = {
    "dense": "dense, from scratch",
    "scratch": "deployed architecture, from scratch",
    "thin": "thinned alike, from scratch",
    "deployed": "found and deployed",
}
HEAD = "network | trained | error (%) | MACs | parameters | training (s) | ms, batch 1 | ms, batch 100"


def baseline_rows(results: Path) -> dict[str, str]:
    """A Markdown table with the rows of every network; "not measured" where a file has none.

    Args:
        results: Folder of the JSON files.
    """
    lines = [f"| {HEAD} |", "|" + "---|" * 8]
    for net, name in NETS.items():
        file = results / f"mnist-{net}.json"
        runs = json.loads(file.read_text("utf-8"))["runs"] if file.is_file() else []
        found = [run["baselines"] for run in runs if "baselines" in run]
        if not found:
            lines.append(f"| {name} | not measured |" + " — |" * 6)
        for kind, words in BASELINES.items():
            if rows := [one[kind] for one in found if kind in one]:
                lines.append(f"| {name} | {words} | {' | '.join(_cells(rows))} |")
    return {"table": "\n".join(lines)}


def _cells(rows: list[dict[str, Any]]) -> list[str]:
    part = "test" if all("test" in row["scores"] for row in rows) else "validation"
    errors = [100.0 * (1.0 - row["scores"][part]["accuracy"]) for row in rows]
    cells = [_spread(errors, 2) + ("" if part == "test" else " (validation)")]
    cells += [f"{mean(row[key] for row in rows):,.0f}" for key in ("macs", "nonzero")]
    cells.append(_spread([row["seconds"] for row in rows if row["seconds"] is not None], 0))
    times = ([row["latency_ms"][size] for row in rows] for size in ("1", "100"))
    return [*cells, *(_spread([ms for ms in found if ms is not None], 2) for found in times)]


def _spread(values: list[float], digits: int) -> str:
    if not values:
        return "—"
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text
