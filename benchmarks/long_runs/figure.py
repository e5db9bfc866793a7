"""What the long runs cost while they go on: expected, deployed and run MACs, and the time of each epoch.

python -m benchmarks.long_runs.figure
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from l0bayes.plots.style import COLOURS, save_picture

__all__ = ["draw"]

RESULTS = Path("benchmarks/results")

_LINES = {
    "expected": ("MACs, expected of the gates", "-"),
    "deployed": ("MACs, deployed now", "--"),
    "run": ("MACs that a step runs", ":"),
    "time": ("processor's time", "-"),
}


def draw(results: dict[str, Any], rows: list[str], path: Path) -> Path:
    """Draw the first seed of each row.

    Args:
        results: The results.
        rows: Names of rows.
        path: File of the picture.
    """
    import matplotlib.pyplot as plt

    _, all_axes = plt.subplots(1, len(rows), figsize=(4.6 * len(rows), 3.6), sharey=True, squeeze=False)
    for axes, name in zip(all_axes[0], rows, strict=True):
        epochs = results["rows"][name]["runs"][0]["epochs"]
        for colour, (key, (label, style)) in zip(COLOURS, _LINES.items(), strict=False):
            values = [epoch[key] for epoch in epochs]
            axes.plot(range(1, len(values) + 1), values, style, color=colour, lw=1.6, label=label)
        axes.set(xlabel="epoch", yscale="log", title=name)
        axes.grid(alpha=0.25)
    all_axes[0, 0].set_ylabel("share of the dense network's")
    all_axes[0, 0].legend(frameon=False, fontsize=8)
    return save_picture(all_axes[0, 0], path)


def main() -> None:
    """Draw what the results hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_runs.figure")
    parser.add_argument("--results", type=Path, default=RESULTS / "training-long.json")
    parser.add_argument("--out", type=Path, default=RESULTS / "training-long.png")
    options = parser.parse_args()
    results = json.loads(options.results.read_text("utf-8"))
    rows = [name for name, row in results["rows"].items() if row["runs"] and not row["recipe"]["gates"]]
    print(draw(results, rows, options.out))


if __name__ == "__main__":
    main()
