"""Which relaxation? Every gate family, at several temperatures, on the same problems.

    python -m benchmarks.relaxations [--part a|b|c|all] [--seeds 5] [--only NAME ...] [--quick]

* **a**: regressions of 12 columns with independent and with strongly correlated columns, against the exact
  posterior (all models enumerated) and against the best that factorised gates can do.
* **b**: the demo's network on scikit-learn's digits, at an equal target for the deployed size.
* **c**: LeNet-300-100 on MNIST, in short runs, at an equal target.

Settings of the networks were chosen on validation images with hard concrete gates at 2/3 and looked at with
other families; the test set is read once, at the end of each run. Finished runs are kept in ``--keep``: an
interrupted study goes on where it was. Results and pictures go to ``--out``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from benchmarks.relaxations.figures import draw_figures
from benchmarks.relaxations.study import NAMES, run_part


def main() -> None:
    """Run, write, draw, and print the results as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relaxations", description="Which relaxation?")
    parser.add_argument("--part", choices=[*NAMES, "all"], default="all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run these candidates alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a tiny version, to see that it runs")
    parser.add_argument(
        "--keep", type=Path, default=Path("build/relaxations"), help="folder of finished runs"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for part in NAMES if options.part == "all" else options.part:
        result = run_part(part, options.seeds, options.keep, only=options.only, quick=options.quick)
        results[NAMES[part]] = result
        text = json.dumps(result, indent=1)
        (options.out / f"relaxations-{NAMES[part]}.json").write_text(text + "\n", "utf-8")
        draw_figures(options.out)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
