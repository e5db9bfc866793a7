"""The table of training that shrinks, read from its results when the pages are built."""

import json
from pathlib import Path
from typing import Any

_KINDS = {"dense": "dense", "ours": "`shrink=True`", "found": "its architecture", "thin": "thinned alike"}


def training_rows(results: Path) -> dict[str, str]:
    """A Markdown table with a row for every network and budget, and what was run.

    Args:
        results: Folder of the results.
    """
    found: dict[str, Any] = json.loads((results / "training.json").read_text("utf-8"))
    head = "network | gates on | images × epochs | target | seeds | " + " | ".join(_KINDS.values())
    lines = [f"| {head} |", "|" + "---|" * (5 + len(_KINDS))]
    for row in found["rows"]:
        cells = [row["net"], _gates(row), f"{row['images']:,} × {row['epochs']}"]
        cells += [f"`{row.get('cost', 'macs')}:{row['target']}`", str(len(row["runs"]))]
        for kind in _KINDS:
            one = row["summary"][kind]
            cells.append(f"{one['error']} % at {one['time']:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *_sizes(found["rows"])]
    about = f"`{found['command']}` ({found['machine']['processor']}, torch {found['versions']['torch']})"
    return {"table": "\n".join(lines), "about": about}


def _gates(row: dict[str, Any]) -> str:
    """Where a row's gates are, in words."""
    gates = row.get("gates")
    if gates is None:
        return "heads, units" if row["net"] == "transformer" else "units"
    kind = gates if isinstance(gates, str) else next(iter(gates.values()))
    return f"{kind}s"


def _sizes(rows: list[dict[str, Any]]) -> list[str]:
    """Sizes, and times of a run as shares of the dense network's."""
    if not all("latency_1" in one for row in rows for one in row["summary"].values()):
        return ["Sizes and times of a run were not measured with these."]
    head = (
        "network | gates on | images × epochs | trained | MACs | parameters | run of 1 row | run of 100 rows"
    )
    lines = [f"| {head} |", "|" + "---|" * 8]
    for row in rows:
        for kind, words in _KINDS.items():
            one = row["summary"][kind]
            cells = [row["net"], _gates(row), f"{row['images']:,} × {row['epochs']}", words]
            cells.append(f"{one['macs']:.4f}")
            cells += [f"{one['parameters']:,}", f"{one['latency_1']:.2f}", f"{one['latency_100']:.2f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", "MACs and times of a run are shares of the dense network's."]
