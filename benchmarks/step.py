"""What gates cost: the time of one training step of LeNet-300-100, against the dense network's.

Sizes 784-300-100-10, a batch of 100, random data. All variants run in one process, a few steps of each in
turn, round after round, so that whatever else the machine does meets them alike; figures are medians over
rounds. Every step has the same parts: gradients, then fused Adam.

* ``dense``: plain eager PyTorch, cross-entropy of the network without gates.
* ``delta``, ``normal``: the compiled objective with hard concrete gates on the inputs of every layer, slabs
  with a point (``L0Penalty`` and no slab penalty, the paper's objective) or a Normal (prior N(0, 1)).
* ``graph``: the same, captured and not compiled. ``eager``: the same through Pyro at every step.
* ``stock_pyro``: Pyro's own ``TraceMeanField_ELBO`` on the same model and guide.

Beside them a small regression, 20 gated columns and 128 rows, where the time is that of calling operations:
``regression`` is the step that ``compile="auto"`` takes, capturing included in its start, and
``pyro_regression`` is ``SVI.step`` with ``AutoNormal`` and ``Trace_ELBO`` on a regression without gates.

Pyro's validation is off in all of them, as it is in ``l0bayes.fit``. Compilation starts from an empty cache;
the first one includes the compiler's check of the processor.

    python -m benchmarks.step [--rounds 100] [--quick] [--out FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal
from torch import Tensor, nn

from benchmarks.environment import describe
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete, SlabLaw
from l0bayes.infer import CompileMode, GradientStep, MeanFieldELBO
from l0bayes.models import SparseNetwork, SparseRegression

SIZES = (784, 300, 100, 10)
BATCH = 100
NUM_DATA = 60_000
PENALTY = 0.1
COLUMNS, ROWS = 20, 128
STEPS_A_TURN = 5

Step = Callable[[], None]


def lenet() -> nn.Sequential:
    """The dense network."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(SIZES):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def adam(module: nn.Module) -> torch.optim.Optimizer:
    """Fused Adam on what is trained."""
    return torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=1e-3, fused=True)


def pair(slab: SlabLaw, x: Tensor, y: Tensor) -> tuple[SparseNetwork, AutoHardConcrete]:
    """Model and guide."""
    prior = L2Penalty(0.0) if slab == "delta" else dist.Normal(0.0, 1.0)
    model = SparseNetwork(lenet(), gates="input", inclusion=L0Penalty(PENALTY), slab=prior, num_data=NUM_DATA)
    return model, AutoHardConcrete(model, (x, y), slab=slab, init_active=0.9)


def dense_step(x: Tensor, y: Tensor) -> Step:
    net = lenet()
    optimizer = adam(net)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


def our_step(slab: SlabLaw, mode: CompileMode, x: Tensor, y: Tensor) -> Step:
    objective = MeanFieldELBO()(*pair(slab, x, y))
    gradients, optimizer = GradientStep(objective, mode), adam(objective)

    def step() -> None:
        gradients((x, y))
        optimizer.step()

    return step


def stock_step(slab: SlabLaw, x: Tensor, y: Tensor) -> Step:
    loss = TraceMeanField_ELBO()(*pair(slab, x, y))
    optimizer = adam(loss)

    def step() -> None:
        optimizer.zero_grad()
        cast(Tensor, loss(x, y)).backward()
        optimizer.step()

    return step


def regression_steps() -> tuple[dict[str, Step], float]:
    """A step of a regression of ours and of Pyro's own, and the seconds until ours has been captured."""
    x = torch.randn(ROWS, COLUMNS)
    y = 2.0 * x[:, 0] + torch.randn(ROWS)
    model = SparseRegression(COLUMNS)
    started = time.perf_counter()
    objective = MeanFieldELBO()(model, AutoHardConcrete(model, (x, y)))
    gradients, optimizer = GradientStep(objective, "graph"), adam(objective)
    gradients((x, y))
    start_up = time.perf_counter() - started

    def ours() -> None:
        gradients((x, y))
        optimizer.step()

    def dense(x: Tensor, y: Tensor) -> None:
        slopes = pyro.sample("slopes", dist.Normal(torch.zeros(COLUMNS), 1.0).to_event(1))
        noise = pyro.sample("noise", dist.HalfNormal(1.0))
        with pyro.plate("rows", ROWS):
            pyro.sample("y", dist.Normal(x @ slopes, noise), obs=y)

    svi = SVI(dense, AutoNormal(dense), cast(Any, pyro.optim).Adam({"lr": 1e-3}), Trace_ELBO())
    return {"regression": ours, "pyro_regression": lambda: svi.step(x, y)}, start_up


def measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step of every variant in every round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # brings its own parameters back into the processor's cache
            start = time.perf_counter()
            for _ in range(STEPS_A_TURN):
                step()
            times[name].append((time.perf_counter() - start) / STEPS_A_TURN * 1e3)
    return times


def run(rounds: int, threads: int, seed: int) -> dict[str, Any]:
    """Build all variants, measure them, and describe the result."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    x, y = torch.rand(BATCH, SIZES[0]), torch.randint(SIZES[-1], (BATCH,))
    steps = {"dense": dense_step(x, y)}
    compile_seconds = {}
    slabs: tuple[SlabLaw, ...] = ("delta", "normal")
    for slab in slabs:
        steps[slab] = our_step(slab, "inductor", x, y)
        start = time.perf_counter()
        steps[slab]()
        compile_seconds[slab] = round(time.perf_counter() - start, 1)
    for slab, suffix in zip(slabs, ("", "_normal"), strict=True):
        steps[f"graph{suffix}"] = our_step(slab, "graph", x, y)
        steps[f"eager{suffix}"] = our_step(slab, "eager", x, y)
        steps[f"stock_pyro{suffix}"] = stock_step(slab, x, y)
    small, start_up = regression_steps()
    measure(steps, 2)
    times = measure(steps, rounds)
    measure(small, 2)
    small_times = {name: statistics.median(found) for name, found in measure(small, 10 * rounds).items()}
    quartiles = [round(q, 3) for q in statistics.quantiles(times["dense"], n=4)]
    dense = statistics.median(times.pop("dense"))
    ratios = {f"{name}_ratio": round(statistics.median(t) / dense, 3) for name, t in times.items()}
    return {
        "dense_ms": round(dense, 3),
        "dense_ms_quartiles": quartiles,  # far apart where the machine had other work
        **ratios,
        "compile_s": compile_seconds,
        "regression_us": round(1e3 * small_times["regression"]),
        "pyro_regression_us": round(1e3 * small_times["pyro_regression"]),
        "regression_ratio": round(small_times["regression"] / small_times["pyro_regression"], 3),
        "regression_start_s": round(start_up, 2),
        "sizes": SIZES,
        "batch": BATCH,
        "rounds": rounds,
        "steps_a_turn": STEPS_A_TURN,
        "threads": threads,
        "seed": seed,
        **describe(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of a training step against the dense network's.")
    parser.add_argument("--rounds", type=int, default=100, help="turns that every variant gets")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="three rounds, to see that it runs")
    parser.add_argument("--out", type=Path, help="also write the JSON here, indented")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache, pyro.validation_enabled(False):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        result = run(3 if options.quick else options.rounds, options.threads, options.seed)
    result = {"command": "python -m benchmarks.step", **result}
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
