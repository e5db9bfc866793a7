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
        measured = f"{row['measured']:.3f} ({min(row['ratios']):.2f} to {max(row['ratios']):.2f})"
        target = f"`latency:{row['target']}@{row['rows']}`"
        lines.append(
            f"| {row['net']} | {target} | {'yes' if row['shrink'] else 'no'} | {measured} "
            f"| {row['macs']:.3f} | {row['error']:.1f} |"
        )
    where = f"{found['machine']['processor']}, torch {found['versions']['torch']}"
    told = "Shares of the dense network's: medians of five measurements after training, and their range."
    lines += ["", f"{told} The machine was shared with other work. `{found['command']}` ({where})."]
    return {"rows_table": "\n".join(lines)}
