"""Data sets, each from a seed."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.selection.records import Array

__all__ = ["DESIGNS", "count_data", "genotypes", "small_data", "wide_count_data"]

DESIGNS = ("independent", "blocks", "duplicates", "suppressor", "p > n", "null")
"""Designs of :func:`small_data`."""

_WIDE_EFFECTS = {
    "logistic": (1.2, -1.0, 0.8, -0.8, 0.6, 0.5),
    "poisson": (0.5, -0.4, 0.3, -0.3, 0.25, 0.2),
}


def small_data(design: str, seed: int, columns: int = 10) -> tuple[Array, Array]:
    """A design with up to five effects and noise of standard deviation 1.

    Args:
        design: One of :data:`DESIGNS`.
        seed: Seed.
        columns: Number of columns, at least 8.
    """
    rng = np.random.default_rng([seed, DESIGNS.index(design)])
    rows = min(10, columns - 2) if design == "p > n" else 100
    x = rng.normal(size=(rows, columns))
    if design == "blocks":
        x = _blocks(x, 4, 0.9, rng)
    elif design == "duplicates":
        x[:, 1] = x[:, 0] + 0.05 * x[:, 1]
        x[:, 3] = x[:, 2] + 0.02 * x[:, 3]
    elif design == "suppressor":
        x[:, 1] = -x[:, 0] + 0.3 * x[:, 1]
    beta = np.zeros(columns)
    if design != "null":
        beta[[0, 2, 5, 7]] = [0.8, -0.5, 0.3, 0.2]
    if design == "suppressor":
        beta[1] = 0.7
    return x, x @ beta + rng.normal(size=rows)


def genotypes(rows: int, columns: int, seed: int) -> tuple[Array, Array]:
    """Counts of two alleles in linkage blocks of twenty, and eight effects.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        seed: Seed.
    """
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(rows, 2, columns))
    for j in range(columns):
        if j % 20:
            latent[:, :, j] = 0.9 * latent[:, :, j - 1] + math.sqrt(0.19) * latent[:, :, j]
    x = (latent > 0.4).sum(1).astype(float)
    x = (x - x.mean(0)) / x.std(0)
    beta = np.zeros(columns)
    beta[rng.choice(columns, 8, replace=False)] = 0.5 * rng.normal(size=8)
    y = x @ beta + rng.normal(size=rows)
    return x, y - y.mean()


def count_data(kind: str, rows: int, columns: int, seed: int) -> tuple[Array, Array]:
    """A logistic or Poisson regression with three effects, one beside a correlated column.

    Args:
        kind: ``"logistic"`` or ``"poisson"``.
        rows: Number of rows.
        columns: Number of columns, at least 5.
        seed: Seed.
    """
    rng = np.random.default_rng([seed, columns, rows])
    x = rng.normal(size=(rows, columns))
    x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
    beta = np.zeros(columns)
    beta[[0, 2, 4]] = [0.8, -0.5, 0.3]
    return x, _response(kind, x @ beta, rng)


def wide_count_data(kind: str, rows: int, columns: int, seed: int) -> tuple[Array, Array]:
    """The same with columns in blocks of ten, of correlation 0.7, and six effects in random places.

    Args:
        kind: ``"logistic"`` or ``"poisson"``.
        rows: Number of rows.
        columns: Number of columns, at least 6.
        seed: Seed.
    """
    rng = np.random.default_rng([seed, columns, rows])
    x = _blocks(rng.normal(size=(rows, columns)), 10, 0.7, rng)
    beta = np.zeros(columns)
    beta[rng.choice(columns, 6, replace=False)] = _WIDE_EFFECTS[kind]
    return x, _response(kind, x @ beta, rng)


def _blocks(x: Array, size: int, correlation: float, rng: np.random.Generator) -> Array:
    """Independent columns made to correlate within blocks."""
    rows, columns = x.shape
    shared = rng.normal(size=(rows, -(-columns // size))).repeat(size, axis=1)[:, :columns]
    return math.sqrt(correlation) * shared + math.sqrt(1.0 - correlation) * x


def _response(kind: str, eta: Array, rng: np.random.Generator) -> Array:
    """Zeros and ones, or counts."""
    if kind == "logistic":
        return (rng.random(len(eta)) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    return rng.poisson(np.exp(eta)).astype(float)
