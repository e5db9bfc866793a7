"""Wide data: time and error beside long reference chains, and beside ``millipede`` on the same model.

The reference chains are the library's own sampler at many times its usual length, from two seeds; what is
independent here is ``millipede``, whose error against them is recorded at every length.
Nearly all the time goes into ``millipede`` where it has to run long, at most 5 minutes a seed, and into the
reference chains, 3 minutes a seed.
"""

from __future__ import annotations

import math
import statistics
import warnings
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.selection.data import genotypes
from benchmarks.selection.records import Array, Row, largest_error, timed, worst
from l0bayes.estimators import SpikeSlabRegressor
from l0bayes.selection import GaussianProblem, GibbsOptions, InclusionPrior, InverseGamma, infer_gates

__all__ = ["wide"]

_SIZES = ((100, 500), (500, 1000))
_ACTIVE = 5.0
_STEPS = (500, 1000, 2000, 4000, 8000, 16000)
_MODELS: dict[str, dict[str, Any]] = {
    "slab scaled by noise, noise unknown": {"slab_scaled_by_noise": True, "noise": None},
    "slab fixed, noise unknown": {"slab_scaled_by_noise": False, "noise": None},
    "slab fixed, noise known": {"slab_scaled_by_noise": False, "noise": 1.0},
}
_SHARED = "slab scaled by noise, noise unknown"
"""The model that ``millipede`` has too."""


def wide(
    seeds: int,
    sizes: tuple[tuple[int, int], ...] = _SIZES,
    steps: int = 3000,
    lengths: tuple[int, ...] = _STEPS,
) -> dict[str, Any]:
    """Every model on every data set, and the time of ``millipede`` to our error on the one it shares.

    Args:
        seeds: Data sets of each size.
        sizes: Rows and columns.
        steps: Flips of each reference chain.
        lengths: Lengths at which ``millipede`` is run.
    """
    ours: list[Row] = []
    theirs: list[Row] = []
    for n, p in sizes:
        for seed in range(seeds):
            x, y = genotypes(n, p, seed)
            about = {"n": n, "p": p, "seed": seed}
            for name in _MODELS:
                pip, reference = _reference(name, x, y, seed, steps)
                row = {**about, "what": name, **_ours(name, x, y, pip), **reference}
                ours.append(row)
                if name == _SHARED:
                    theirs += [{**about, **one} for one in _millipede(x, y, pip, row["pip_error"], lengths)]
    figures = ("pip_error", "reference_se", "reference_difference", "seconds", "cpu_seconds")
    found: dict[str, Any] = {"runs": ours + theirs, "worst": worst(ours, ("n", "p", "what"), figures)}
    if not theirs:
        return {**found, "note": "millipede is not installed: there is nothing to compare with"}
    return {**found, "ratios": _ratios(ours, theirs)}


def _reference(name: str, x: Array, y: Array, seed: int, steps: int) -> tuple[Array, Row]:
    """Inclusion probabilities by long chains from two seeds, and how well they are known."""
    model, p = _MODELS[name], x.shape[1]
    odds = torch.full((p,), math.log(_ACTIVE / (p - _ACTIVE)), dtype=torch.float64)
    problem = GaussianProblem(
        torch.tensor(x), torch.tensor(y), InclusionPrior(odds), torch.ones(p),
        noise=InverseGamma() if model["noise"] is None else model["noise"],
        slab_scaled_by_noise=model["slab_scaled_by_noise"],
    )  # fmt: skip
    long = GibbsOptions(chains=64, steps=steps, burn_in=steps // 10, target_mcse=0.0)
    both, cost = timed(
        lambda: [infer_gates(problem, "gibbs", options=long, seed=one + seed) for one in (1000, 2000)]
    )
    first, second = both
    error = 0.5 * (first.pip_mcse.square() + second.pip_mcse.square()).sqrt()
    return (0.5 * (first.pip + second.pip)).numpy(), {
        "reference_se": float(error.max()),
        "reference_difference": float((first.pip - second.pip).abs().max()),
        "reference_seconds": cost["seconds"],
    }


def _ours(name: str, x: Array, y: Array, truth: Array) -> Row:
    """Three runs, and their medians."""
    single = [_our_run(_MODELS[name], x, y, truth, state) for state in range(3)]
    names = ("pip_error", "seconds", "cpu_seconds", "mcse")
    return {
        **{key: statistics.median(one[key] for one in single) for key in names},
        "single": single,
    }


def _our_run(model: dict[str, Any], x: Array, y: Array, truth: Array, state: int) -> Row:
    estimator = SpikeSlabRegressor(
        inclusion=_ACTIVE / x.shape[1], slab_scale=1.0, noise_scale=model["noise"], fit_intercept=False,
        slab_scaled_by_noise=model["slab_scaled_by_noise"], standardize=False, random_state=state,
        noise_prior=(1.0, 1.0) if model["noise"] is None else "weak",
    )  # fmt: skip
    fitted, cost = timed(lambda: estimator.fit(x, y))
    return {
        "random_state": state,
        "used": fitted.engine_,
        "verdict": fitted.trust_.verdict,
        "pip_error": largest_error(fitted.pip_, truth),
        "mcse": float(fitted.posterior_.pip_mcse.max()),
        **cost,
    }


def _millipede(x: Array, y: Array, truth: Array, goal: float, lengths: tuple[int, ...]) -> list[Row]:
    """Longer and longer runs until the error is at most the goal; none where it is not installed."""
    try:
        from millipede import NormalLikelihoodVariableSelector
    except ImportError:
        return []
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])]).assign(y=y)
    rows: list[Row] = []
    for steps in lengths:
        pip, cost = timed(partial(_their_run, NormalLikelihoodVariableSelector, frame, steps))
        error = largest_error(pip, truth)
        rows.append({"what": "millipede", "steps": steps, "pip_error": error, **cost})
        if error <= goal:
            break
    return rows


def _their_run(family: Any, frame: pd.DataFrame, steps: int) -> Array:
    """Inclusion probabilities after so many steps and a fifth of them before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = family(
            frame, "y", S=_ACTIVE, tau=1.0, nu0=2.0, lambda0=1.0, include_intercept=False, precompute_XX=True
        )
        other.run(T=steps, T_burnin=steps // 5, verbosity=None, seed=0)
    return np.asarray(other.pip)


def _ratios(ours: list[Row], theirs: list[Row]) -> list[Row]:
    """Time that ``millipede`` takes to our error, over ours; a lower bound where it did not get there."""
    result = []
    for own in (row for row in ours if row["what"] == _SHARED):
        key = {name: own[name] for name in ("n", "p", "seed")}
        last = [row for row in theirs if all(row[name] == value for name, value in key.items())][-1]
        result.append(
            {
                **key,
                "reached": last["pip_error"] <= own["pip_error"],
                "steps": last["steps"],
                "ratio": last["seconds"] / own["seconds"],
                "cpu_ratio": last["cpu_seconds"] / own["cpu_seconds"],
            }
        )
    return result
