"""Run a part of the study, or what is left of it, and put its results together."""

from __future__ import annotations

import json
import sys
import time
import warnings
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import describe
from benchmarks.relaxations.digits import run_digits
from benchmarks.relaxations.mnist import run_mnist
from benchmarks.relaxations.records import Records, interval
from benchmarks.relaxations.regression import DESIGNS, describe_problem, run_regression
from benchmarks.relaxations.settings import DIGITS, MNIST, QUICK, REGRESSION, Candidate, candidates_for

__all__ = ["NAMES", "SETTINGS", "run_part"]

NAMES = {"a": "regression", "b": "digits", "c": "mnist"}
"""Part to the name of its results."""

SETTINGS: dict[str, Any] = {"a": REGRESSION, "b": DIGITS, "c": MNIST}
"""Part to its settings."""


def run_part(
    part: str,
    seeds: int,
    keep: Path | None = None,
    *,
    only: list[str] | None = None,
    quick: bool = False,
    test: bool = True,
    changes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Make the runs of a part that are not there yet.

    Args:
        part: ``"a"``, ``"b"`` or ``"c"``.
        seeds: Number of seeds, from 0 up.
        keep: Folder in which finished runs are kept; ``None`` to keep none.
        only: Names of the candidates to run. The results hold all that are there.
        quick: A tiny version, to see that it runs.
        test: Whether to read the test set.
        changes: Other values of settings, while they are chosen.

    Returns:
        Settings, every run, and means with 95 % t-intervals over seeds, by candidate.
    """
    settings = replace(SETTINGS[part], **{**(QUICK[part] if quick else {}), **(changes or {})})
    records = Records(None if keep is None else keep / f"{NAMES[part]}.jsonl")
    wanted = {one.name for one in candidates_for(part, only)}
    designs = DESIGNS if part == "a" else (None,)
    runs: dict[tuple[str, str | None], list[Any]] = {}
    for seed in range(seeds):
        for design in designs:
            for candidate in candidates_for(part):
                key = _key(part, candidate, settings, seed, design, test)
                found: dict[str, Any] | None
                if candidate.name in wanted:
                    found = records.get(key, partial(_run, key, candidate, settings))
                else:
                    found = records.find(key)
                if found is not None:
                    runs.setdefault((candidate.name, design), []).append({"seed": seed, **found})
    result = {
        "command": f"python -m benchmarks.relaxations --part {part} --seeds {seeds}" + " --quick" * quick,
        "part": NAMES[part],
        "settings": asdict(settings),
        "seeds": list(range(seeds)),
        "candidates": [
            _summary(one, design, runs[one.name, design])
            for design in designs
            for one in candidates_for(part)
            if (one.name, design) in runs
        ],
        "threads": torch.get_num_threads(),
        **describe(),
    }
    if part == "a":
        result["problems"] = [
            describe_problem(design, seed, settings) for seed in range(seeds) for design in DESIGNS
        ]
    return result


def _key(
    part: str, candidate: Candidate, settings: Any, seed: int, design: str | None, test: bool
) -> dict[str, Any]:
    gates = {"name": candidate.name, "options": candidate.options, "per_example": candidate.per_example}
    key = {"part": part, **gates, "seed": seed, "settings": asdict(settings)}
    # As it is read back from a file: lists in place of tuples.
    return json.loads(json.dumps({**key, "design": design} if part == "a" else {**key, "test": test}))  # type: ignore[no-any-return]


def _run(key: dict[str, Any], candidate: Candidate, settings: Any) -> dict[str, Any]:
    begun = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if key["part"] == "a":
            result = run_regression(candidate, settings, key["seed"], key["design"])
        else:
            run = run_digits if key["part"] == "b" else run_mnist
            result = run(candidate, settings, key["seed"], key["test"])
    result["warnings"] = sorted({entry.category.__name__ for entry in caught})
    told = {name: round(value, 4) for name, value in result.items() if isinstance(value, float)}
    where = f"seed {key['seed']}{', ' + key['design'] if key['part'] == 'a' else ''}"
    seconds = time.perf_counter() - begun
    print(f"{key['part']} {candidate.name}, {where}, {seconds:.1f} s: {told}", file=sys.stderr, flush=True)
    return result


def _summary(candidate: Candidate, design: str | None, runs: list[dict[str, Any]]) -> dict[str, Any]:
    names = {name for run in runs for name, value in run.items() if _is_figure(name, value)}
    reasons = sorted({run[key] for run in runs for key in ("reason", "diverged") if key in run})
    return {
        "name": candidate.name,
        "gate_law": candidate.gate_law,
        "variant": candidate.variant,
        "sharpness": candidate.sharpness,
        "per_example": candidate.per_example,
        **({} if design is None else {"design": design}),
        **({"reason": "; ".join(reasons)} if reasons else {}),
        "summary": {name: interval([run.get(name) for run in runs]) for name in sorted(names)},
        "runs": runs,
    }


def _is_figure(name: str, value: Any) -> bool:
    return name != "seed" and (value is None or isinstance(value, float))
