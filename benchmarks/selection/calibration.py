"""What the probabilities promise, and what comes true, over data sets that are drawn from the prior.

About 4 seconds a data set and setting, most of them by sampling: 20 minutes for 150.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.selection.records import Array, Row, timed
from l0bayes.estimators import SpikeSlabRegressor

__all__ = ["calibrated", "calibration"]

_ROWS, _COLUMNS, _BINS, _LEVEL = 60, 24, 10, 0.1
_SETTINGS: dict[str, float | tuple[float, float]] = {
    "inclusion 0.15": 0.15,
    "inclusion Beta(1, 3)": (1.0, 3.0),
}


def calibration(count: int) -> dict[str, Any]:
    """False discoveries under a 10 % rule, and reliability of the inclusion probabilities.

    Args:
        count: Data sets of each setting.
    """
    runs = [{"setting": name, **_setting(inclusion, count)} for name, inclusion in _SETTINGS.items()]
    names = ("realised_fdr", "false_share_of_all_selected", "ece")
    return {
        "data_sets": count,
        "level": _LEVEL,
        "runs": runs,
        "worst": {name: max(run[name] for run in runs) for name in names},
    }


def _setting(inclusion: float | tuple[float, float], count: int) -> Row:
    """All data sets of one prior."""
    single, cost = timed(lambda: [_data_set(inclusion, seed) for seed in range(count)])
    return calibrated(single, cost)


def calibrated(single: list[Row], cost: Row) -> Row:
    """What was promised over data sets, and what came true.

    Args:
        single: Of every data set how many were selected and how many of these falsely, what was promised,
            all probabilities and the gates.
        cost: What the fits took.
    """
    count = len(single)
    shares = np.array([one["false"] / max(1, one["selected"]) for one in single])
    promised = np.array([one["promised"] for one in single])
    selected = sum(one["selected"] for one in single)
    table = _reliability(*(np.concatenate([one[key] for one in single]) for key in ("pip", "gates")))
    total = sum(row["count"] for row in table)
    gaps = [row["count"] / total * abs(row["mean_pip"] - row["share_true"]) for row in table if row["count"]]
    return {
        "promised_fdr": float(promised.mean()),
        "realised_fdr": float(shares.mean()),
        "realised_fdr_se": float(shares.std(ddof=1) / math.sqrt(count)) if count > 1 else None,
        "selected": selected,
        "false_share_of_all_selected": sum(one["false"] for one in single) / max(1, selected),
        "ece": float(sum(gaps)),
        "reliability": table,
        "fit_seconds": cost["seconds"],
        "fit_cpu_seconds": cost["cpu_seconds"],
    }


def _data_set(inclusion: float | tuple[float, float], seed: int) -> Row:
    """Draw gates, effects and data from the prior, and see what is selected."""
    rng = np.random.default_rng([seed, 77])
    shared = rng.normal(size=(_ROWS, _COLUMNS // 4)).repeat(4, axis=1)
    x = math.sqrt(0.8) * shared + math.sqrt(0.2) * rng.normal(size=(_ROWS, _COLUMNS))
    rate = rng.beta(*inclusion) if isinstance(inclusion, tuple) else inclusion
    gates = rng.random(_COLUMNS) < rate
    y = x @ (gates * rng.normal(size=_COLUMNS)) + rng.normal(size=_ROWS)
    model = SpikeSlabRegressor(
        inclusion=inclusion, slab_scale=1.0, noise_scale=1.0, fit_intercept=False, standardize=False,
        random_state=seed,
    ).fit(x, y)  # fmt: skip
    q = model.summary()["bfdr_q"]
    chosen = [int(name[1:]) for name in q.index[q <= _LEVEL]]
    return {
        "selected": len(chosen),
        "false": int((~gates[chosen]).sum()),
        "promised": float((1.0 - model.pip_[chosen]).mean()) if chosen else 0.0,
        "pip": model.pip_,
        "gates": gates.astype(float),
    }


def _reliability(pips: Array, gates: Array) -> list[Row]:
    """By tenths of the probability: how many there are, their mean, and the share that is true."""
    bins = np.minimum((pips * _BINS).astype(int), _BINS - 1)
    table = []
    for index in range(_BINS):
        own = bins == index
        some = bool(own.any())
        table.append(
            {
                "from": index / _BINS,
                "to": (index + 1) / _BINS,
                "count": int(own.sum()),
                "mean_pip": float(pips[own].mean()) if some else None,
                "share_true": float(gates[own].mean()) if some else None,
            }
        )
    return table
