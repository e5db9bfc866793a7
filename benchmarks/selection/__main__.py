"""Variable selection against the truth: how far inclusion probabilities are off, and what they cost.

    python -m benchmarks.selection [--part PART] [--seeds 3] [--data-sets 150] [--out DIR]

* **small**: 10 columns, designs from independent to near-duplicate, known and unknown noise, fixed and Beta
  inclusion: the engines against a dense factorisation of every model on a fine grid over the noise.
* **twenty**: the same with 20 columns and, where the noise is unknown, with 14.
* **wide**: 500 and 1000 genotype-like columns against long reference chains, and the time that ``millipede``
  (pip install --no-deps millipede-regression) takes to the same error on the same model, in the same run.
* **glm**: logistic and Poisson regressions against importance sampling of every model's evidence and, with
  200 columns, against long chains that know no Laplace approximation.
* **calibration**: data sets drawn from a prior with correlated columns: what a 10 % Bayesian FDR rule and
  the inclusion probabilities promise, and what comes true.
* **likelihoods**: near-duplicates under every likelihood but the Normal one, against importance sampling of
  coefficients and learned numbers together.
* **calibration-likelihoods**: the same of data sets from the prior of each of these likelihoods.
* **huge**: up to 100,000 columns by minibatch SVI: memory, time per epoch, and what is found.

* **genome**: 100,000 genotypes as float32 and a million as a mapped int8 file, each in a process of its own:
  inclusion probabilities against long chains, time, memory, and ``millipede`` beside.
* **millipede**: the first of these alone, and how much longer ``millipede`` takes to the same error.

Results go to ``selection-PART.json`` in ``--out`` and are printed last. Modules say what a part costs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import describe
from benchmarks.selection.calibration import calibration
from benchmarks.selection.few import small, twenty
from benchmarks.selection.genome import beside_millipede, genome
from benchmarks.selection.glm import glm
from benchmarks.selection.huge import huge
from benchmarks.selection.likelihoods import calibrated_likelihoods, likelihoods
from benchmarks.selection.wide import wide

PARTS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "small": lambda seeds, count: small(seeds),
    "twenty": lambda seeds, count: twenty(seeds),
    "wide": lambda seeds, count: wide(seeds),
    "glm": lambda seeds, count: glm(seeds),
    "calibration": lambda seeds, count: calibration(count),
    "likelihoods": lambda seeds, count: likelihoods(seeds),
    "calibration-likelihoods": lambda seeds, count: calibrated_likelihoods(count),
    "huge": lambda seeds, count: huge(),
    "genome": lambda seeds, count: genome(),
    "millipede": lambda seeds, count: beside_millipede(),
}
"""Name of a part to what runs it, from the number of seeds and of data sets."""


def main() -> None:
    """Run the parts, write each, and print everything as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection")
    parser.add_argument("--part", choices=[*PARTS, "all"], default="all")
    parser.add_argument("--seeds", type=int, default=3, help="data sets of each kind")
    parser.add_argument("--data-sets", type=int, default=150, help="data sets of part calibration")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for part in PARTS if options.part == "all" else (options.part,):
        results[part] = _run(part, options.seeds, options.data_sets)
        text = json.dumps(results[part], indent=1)
        (options.out / f"selection-{part}.json").write_text(text + "\n", "utf-8")
    print(json.dumps(results))


def _run(part: str, seeds: int, count: int) -> dict[str, Any]:
    """What a part finds, and under which circumstances."""
    begun = time.perf_counter()
    found = PARTS[part](seeds, count)
    numbers = f"--seeds {seeds} --data-sets {count}"
    return {
        "command": f"python -m benchmarks.selection --part {part} {numbers}",
        "seconds": time.perf_counter() - begun,
        "threads": torch.get_num_threads(),
        **describe(),
        **found,
    }


if __name__ == "__main__":
    main()
