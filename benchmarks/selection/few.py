"""Few columns, where every model can be looked at: both engines against a dense enumeration.

On one core, a chunk of 32,768 models of 20 columns takes 0.2 seconds and all of them 7 a noise.
Part small takes about a minute a seed, and part twenty 2 minutes a seed and, whatever the seeds, 5 more
for the one data set of twenty columns with 31 noises. Memory stays below a gigabyte.
"""

from __future__ import annotations

from typing import Any

from benchmarks.selection.data import DESIGNS, small_data
from benchmarks.selection.records import Array, Row, is_figure, largest_error, timed, worst
from benchmarks.selection.references import (
    Enumeration,
    Nodes,
    enumerate_densely,
    known_noise,
    nodes_around,
    prior_by_size,
    unknown_noise,
)
from l0bayes.estimators import SpikeSlabRegressor

__all__ = ["small", "twenty"]

_FIGURES = ("pip_error", "mean_error", "evidence_error", "seconds", "cpu_seconds")
_PILOT = 8
Inclusion = float | tuple[float, float]


def small(seeds: int, designs: tuple[str, ...] = DESIGNS) -> dict[str, Any]:
    """Ten columns, with the noise known and unknown, and inclusion fixed and uncertain.

    Args:
        seeds: Data sets of each design.
        designs: Names of designs.
    """
    rows: list[Row] = []
    for design in designs:
        for seed in range(seeds):
            for noise in (1.0, None):
                for inclusion in (0.25, (1.0, 3.0)):
                    rows += _compare(design, seed, 10, noise, inclusion, _all_nodes(noise))
    return {"runs": rows, "worst": worst(rows, ("engine", "noise"), _FIGURES)}


def twenty(seeds: int, designs: tuple[str, ...] = DESIGNS, columns: int = 20) -> dict[str, Any]:
    """Twenty columns with the noise known, 14 with it unknown, and one data set of twenty with it unknown.

    Args:
        seeds: Data sets of each design.
        designs: Names of designs.
        columns: Number of columns in place of twenty.
    """
    rows: list[Row] = []
    for design in designs:
        for seed in range(seeds):
            rows += _compare(design, seed, columns, 1.0, 0.2, _all_nodes(1.0))
            rows += _compare(design, seed, min(14, columns), None, 0.2, _all_nodes(None))
    rows += _compare("blocks", 0, columns, None, 0.2, _few_nodes("blocks", 0, columns, 0.2))
    return {"runs": rows, "worst": worst(rows, ("engine", "noise", "p"), _FIGURES)}


def _all_nodes(noise: float | None) -> Nodes:
    return unknown_noise() if noise is None else known_noise(noise)


def _few_nodes(design: str, seed: int, columns: int, inclusion: Inclusion) -> Nodes:
    """Nodes about the noise that the first columns find, on which the effects are."""
    x, y = small_data(design, seed, columns)
    wide = unknown_noise()
    pilot = enumerate_densely(x[:, :_PILOT], y, 1.0, wide, prior_by_size(inclusion, _PILOT))
    return nodes_around(pilot, wide)


def _compare(
    design: str, seed: int, columns: int, noise: float | None, inclusion: Inclusion, nodes: Nodes
) -> list[Row]:
    """One data set: the reference, and every engine against it."""
    x, y = small_data(design, seed, columns)
    by_size = prior_by_size(inclusion, columns)
    truth, cost = timed(lambda: enumerate_densely(x, y, 1.0, nodes, by_size))
    about = {
        "design": design, "seed": seed, "n": len(y), "p": columns, "noise": noise, "inclusion": inclusion,
        "noise_nodes": len(nodes.variances), "edge_share": truth.edge, "reference_seconds": cost["seconds"],
    }  # fmt: skip
    return [{**about, **_run(engine, x, y, noise, inclusion, seed, truth)} for engine in ("auto", "gibbs")]


def _run(
    engine: str, x: Array, y: Array, noise: float | None, inclusion: Inclusion, seed: int, truth: Enumeration
) -> Row:
    model = SpikeSlabRegressor(
        inclusion=inclusion, slab_scale=1.0, noise_scale=noise, fit_intercept=False, standardize=False,
        engine=engine, random_state=seed, noise_prior=(1.0, 1.0) if noise is None else "weak",
    )  # fmt: skip
    model, cost = timed(lambda: model.fit(x, y))
    evidence = model.log_evidence_
    return {
        "engine": engine,
        "used": model.engine_,
        "verdict": model.trust_.verdict,
        **cost,
        "pip_error": largest_error(model.pip_, truth.pip),
        "mean_error": largest_error(model.coef_, truth.mean),
        "evidence_error": abs(evidence - truth.log_evidence) if is_figure(evidence) else None,
    }
