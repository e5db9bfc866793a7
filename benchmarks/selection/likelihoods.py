r"""Counts, shares, survival times and outliers: near-duplicates against sampling, and what comes true.

The reference takes every model in turn, and integrates coefficients and learned numbers together by
importance sampling with a Student-t proposal at the joint mode. Likelihoods are written out anew with
``torch.distributions``, or event by event. A reference of 8 columns takes about half a minute.

Data sets for calibration are drawn from the prior: gates, effects, learned numbers and responses. Under a
10 % Bayesian FDR rule the share of false discoveries should be what the probabilities promise. About half a
second a data set and likelihood.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.selection.calibration import calibrated
from benchmarks.selection.joint_references import Response, joint_importance_pips, response_of
from benchmarks.selection.records import Array, Row, largest_error, timed
from l0bayes.estimators import (
    SpikeSlabBinomial,
    SpikeSlabClassifier,
    SpikeSlabCountRegressor,
    SpikeSlabCox,
    SpikeSlabRobustRegressor,
)
from l0bayes.selection.summaries.false_discoveries import fdr_q_values

__all__ = ["calibrated_likelihoods", "likelihoods"]

_ROWS, _COLUMNS, _DRAWS = 100, 8, 20_000
_SLAB, _LEVEL, _INCLUSION = 0.8, 0.1, 0.25
_NOISE_PRIOR = (2.0, 1.0)
_ENGINES = ("exact", "gibbs")
_PLAIN: dict[str, Any] = {"inclusion": _INCLUSION, "slab_scale": _SLAB, "standardize": False}
_NO_INTERCEPT = {**_PLAIN, "fit_intercept": False}

KINDS = ("bernoulli", "binomial", "poisson", "negative_binomial", "student_t", "cox")
"""Likelihoods beside the Normal one, which has parts of its own."""


def likelihoods(seeds: int) -> dict[str, Any]:
    """Near-duplicate columns under every likelihood, against the reference.

    Args:
        seeds: Data sets of each.
    """
    runs = [run for kind in KINDS for seed in range(seeds) for run in _near_duplicates(kind, seed)]
    worst = {name: max(run["pip_error"] for run in runs if run["engine"] == name) for name in _ENGINES}
    return {"rows": _ROWS, "columns": _COLUMNS, "runs": runs, "worst": worst}


def _near_duplicates(kind: str, seed: int) -> list[Row]:
    """Two pairs of columns that are nearly the same, one of each with an effect."""
    rng = np.random.default_rng([seed, 31])
    x = rng.normal(size=(_ROWS, _COLUMNS))
    x[:, 1] = x[:, 0] + 0.1 * rng.normal(size=_ROWS)
    x[:, 3] = x[:, 2] + 0.05 * rng.normal(size=_ROWS)
    response = response_of(kind, 0.5 * x[:, 0] - 0.3 * x[:, 2], rng, _NOISE_PRIOR)
    truth, reference = timed(
        partial(joint_importance_pips, response, x, _SLAB, _INCLUSION, _NOISE_PRIOR, _DRAWS, seed)
    )
    runs = []
    for engine in _ENGINES:
        fitted, cost = timed(partial(_fit, x, response, engine, seed))
        runs.append(
            {
                "likelihood": kind,
                "seed": seed,
                "engine": engine,
                "verdict": fitted.trust_.verdict,
                "pip_error": largest_error(fitted.pip_, truth),
                **cost,
                "reference_seconds": reference["seconds"],
            }
        )
    return runs


def calibrated_likelihoods(count: int) -> dict[str, Any]:
    """False discoveries under a 10 % rule for every likelihood, over data sets that are drawn from the prior.

    Args:
        count: Data sets of each.
    """
    runs = []
    for kind in KINDS:
        single, cost = timed(partial(_data_sets, kind, count))
        runs.append({"likelihood": kind, "data_sets": count, **calibrated(single, cost)})
    gaps = [abs(run["realised_fdr"] - run["promised_fdr"]) for run in runs]
    return {"data_sets": count, "level": _LEVEL, "runs": runs, "worst_gap": max(gaps)}


def _data_sets(kind: str, count: int) -> list[Row]:
    return [_data_set(kind, seed) for seed in range(count)]


def _data_set(kind: str, seed: int) -> Row:
    rng = np.random.default_rng([seed, 78])
    shared = rng.normal(size=(_ROWS, _COLUMNS // 2)).repeat(2, axis=1)
    x = np.sqrt(0.7) * shared + np.sqrt(0.3) * rng.normal(size=(_ROWS, _COLUMNS))
    gates = rng.random(_COLUMNS) < _INCLUSION
    eta = x @ (gates * _SLAB * rng.normal(size=_COLUMNS))
    fitted = _fit(x, response_of(kind, eta, rng, _NOISE_PRIOR, drawn=True), "auto", seed)
    q = fdr_q_values(torch.tensor(fitted.pip_)).numpy()
    chosen = np.flatnonzero(q <= _LEVEL)
    return {
        "selected": len(chosen),
        "false": int((~gates[chosen]).sum()),
        "promised": float((1.0 - fitted.pip_[chosen]).mean()) if len(chosen) else 0.0,
        "pip": fitted.pip_,
        "gates": gates.astype(float),
    }


def _fit(x: Array, response: Response, engine: str, seed: int) -> Any:
    own: dict[str, Any] = {"engine": engine, "random_state": seed}
    y, beside = response.y, response.beside
    fits: dict[str, Callable[[], Any]] = {
        "bernoulli": lambda: SpikeSlabClassifier(**_NO_INTERCEPT, **own).fit(x, y),
        "binomial": lambda: SpikeSlabBinomial(**_NO_INTERCEPT, **own).fit(x, y, trials=beside),
        "poisson": lambda: SpikeSlabCountRegressor("poisson", **_NO_INTERCEPT, **own).fit(x, y),
        "negative_binomial": lambda: SpikeSlabCountRegressor("negative_binomial", **_NO_INTERCEPT, **own).fit(
            x, y
        ),
        "student_t": lambda: SpikeSlabRobustRegressor(noise_prior=_NOISE_PRIOR, **_NO_INTERCEPT, **own).fit(
            x, y
        ),
        "cox": lambda: SpikeSlabCox(**_PLAIN, **own).fit(x, y, event=beside),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fits[response.kind]()
