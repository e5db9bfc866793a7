"""The table of networks that were trained to a time, read from what ``benchmarks.latency`` wrote."""

import json
from pathlib import Path
from typing import Any

_HEAD = "network | target | `shrink` | measured | MACs | validation error (%)"


def latency_rows(results: Path) -> dict[str, str]:
    """A Markdown table with a row for every network and target, and the command; or a line that says so.

    Args:
        results: Folder of the results.
    """
    file = results / "latency.json"
    if not file.is_file():
        return {"rows_table": "Not measured yet: `python -m benchmarks.latency`."}
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    lines = [f"| {_HEAD} |", "|" + "---|" * 6]
    for row in found["rows"]:
        target = f"`latency:{row['target']}@{row['rows']}`"
        lines.append(
            f"| {row['net']} | {target} | {'yes' if row['shrink'] else 'no'} | {row['measured']:.3f} "
            f"| {row['macs']:.3f} | {row['error']:.1f} |"
        )
    where = f"{found['machine']['processor']}, torch {found['versions']['torch']}"
    lines += ["", f"Shares of the dense network's, measured after training: `{found['command']}` ({where})."]
    return {"rows_table": "\n".join(lines)}
