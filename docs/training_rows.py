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
    head = "network | images × epochs | target | seeds | " + " | ".join(_KINDS.values())
    lines = [f"| {head} |", "|" + "---|" * (4 + len(_KINDS))]
    for row in found["rows"]:
        cells = [row["net"], f"{row['images']:,} × {row['epochs']}", f"`macs:{row['target']}`"]
        cells.append(str(len(row["runs"])))
        for kind in _KINDS:
            one = row["summary"][kind]
            cells.append(f"{one['error']} % at {one['time']:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    about = f"`{found['command']}` ({found['machine']['processor']}, torch {found['versions']['torch']})"
    return {"table": "\n".join(lines), "about": about}
