"""Logistic and Poisson regressions: few columns against every model, 200 against long chains.

The long chains stop where no standard error is above 0.003: about two minutes of logistic regression a seed
and four of Poisson regression, of at most four and eight. Without ``polyagamma`` the logistic one is left
out, and the results say so.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.selection.chains import LongRun, run_chains
from benchmarks.selection.data import count_data, wide_count_data
from benchmarks.selection.logistic_chains import LogisticChains
from benchmarks.selection.poisson_chains import PoissonChains
from benchmarks.selection.records import Array, Row, largest_error, timed, worst
from benchmarks.selection.references import importance_pips
from l0bayes.estimators import SpikeSlabClassifier, SpikeSlabPoissonRegressor

__all__ = ["glm"]

_FEW = (("logistic", 150, 8), ("logistic", 300, 10), ("poisson", 100, 8), ("poisson", 200, 10))
_WIDE = (("logistic", 500, 200), ("poisson", 300, 200))
_FAMILIES = {"logistic": SpikeSlabClassifier, "poisson": SpikeSlabPoissonRegressor}
_ACTIVE = 5.0
_MOST = {"logistic": 8000, "poisson": 2000}


def glm(
    seeds: int,
    few: tuple[tuple[str, int, int], ...] = _FEW,
    wide: tuple[tuple[str, int, int], ...] = _WIDE,
    **chains: int,
) -> dict[str, Any]:
    """Errors of inclusion probabilities, and the reference's own.

    Args:
        seeds: Data sets of each kind.
        few: Kind, rows and columns of those where every model is looked at.
        wide: The same of those with long chains.
        **chains: Options of :func:`~benchmarks.selection.chains.run_chains`.
    """
    rows, notes = [], []
    for kind, n, p in few:
        for seed in range(seeds):
            x, y = count_data(kind, n, p, seed)
            truth, cost = timed(partial(importance_pips, kind, x, y, 1.0, 0.25, 4000, seed))
            about = {"kind": kind, "n": n, "p": p, "seed": seed, "reference": "every model"}
            rows.append(
                {**about, **_run(kind, x, y, 0.25, seed, truth), "reference_seconds": cost["seconds"]}
            )
    for kind, n, p in wide:
        for seed in range(seeds):
            try:
                rows.append(_wide_run(kind, n, p, seed, chains))
            except ImportError as error:
                notes.append(f"{kind}, {p} columns: {error}")
    found = {"runs": rows, "worst": worst(rows, ("kind", "p"), ("pip_error", "reference_se", "seconds"))}
    return {**found, "notes": notes} if notes else found


def _wide_run(kind: str, n: int, p: int, seed: int, options: dict[str, int]) -> Row:
    """One data set against long chains."""
    x, y = wide_count_data(kind, n, p, seed)
    truth, cost = timed(lambda: _long_run(kind, x, y, seed, options))
    return {
        "kind": kind, "n": n, "p": p, "seed": seed, "reference": "long chains",
        **_run(kind, x, y, _ACTIVE / p, seed, truth.pip),
        "reference_se": float(truth.se.max()), "reference_sweeps": truth.sweeps,
        "reference_seconds": cost["seconds"],
    }  # fmt: skip


def _long_run(kind: str, x: Array, y: Array, seed: int, options: dict[str, Any]) -> LongRun:
    family = LogisticChains if kind == "logistic" else PoissonChains
    return run_chains(family(x, y, 1.0, _ACTIVE / x.shape[1], seed=seed), **{"most": _MOST[kind], **options})


def _run(kind: str, x: Array, y: Array, inclusion: float, seed: int, truth: Array) -> Row:
    model = _FAMILIES[kind](
        inclusion=inclusion, slab_scale=1.0, fit_intercept=False, standardize=False, random_state=seed
    )
    fitted, cost = timed(lambda: model.fit(x, y))
    return {
        "engine": fitted.engine_,
        "verdict": fitted.trust_.verdict,
        **cost,
        "pip_error": largest_error(fitted.pip_, truth),
    }
