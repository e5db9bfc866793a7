"""Small problems of every kind, for engines to be compared with enumeration."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from l0bayes.likelihoods.bernoulli_likelihood import Bernoulli
from l0bayes.likelihoods.binomial_likelihood import Binomial
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.negative_binomial_likelihood import NegativeBinomial
from l0bayes.likelihoods.poisson_likelihood import Poisson
from l0bayes.selection import (
    GaussianProblem,
    GeneralisedProblem,
    InclusionPrior,
    InverseGamma,
    SelectionProblem,
)

__all__ = ["GAUSSIAN", "GENERALISED", "PROBLEMS", "many_gates"]

_ROWS, _COLUMNS = 24, 5
_GENERALISED_ROWS, _GENERALISED_COLUMNS = 60, 3


def _columns(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _uncorrelated(rows: int, columns: int, seed: int = 0) -> Tensor:
    """Centred columns of variance 1 without correlation, if there are more rows than columns."""
    x = _columns(rows, columns, seed)
    return math.sqrt(rows) * torch.linalg.qr(x - x.mean(0))[0] if rows > columns else x


def _odds(count: int) -> InclusionPrior:
    return InclusionPrior(log_odds=torch.full((count,), -0.8, dtype=torch.float64))


def _intercept(rows: int, scale: float = 5.0) -> dict[str, Any]:
    return {
        "unpenalised": torch.ones(rows, 1, dtype=torch.float64),
        "unpenalised_scale": torch.tensor([scale], dtype=torch.float64),
    }


def _two_unpenalised(rows: int) -> dict[str, Any]:
    return {
        "unpenalised": torch.cat([torch.ones(rows, 1, dtype=torch.float64), _columns(rows, 1, 7)], 1),
        "unpenalised_scale": torch.tensor([5.0, 0.5], dtype=torch.float64),
    }


def _offset(rows: int) -> dict[str, Any]:
    return {"offset": 0.4 * _columns(rows, 1, 8)[:, 0]}


def _weights(rows: int) -> dict[str, Any]:
    return {"weights": torch.linspace(0.5, 1.5, rows, dtype=torch.float64)}


def _gaussian(rows: int = _ROWS, **changes: Any) -> GaussianProblem:
    x = _uncorrelated(rows, _COLUMNS)
    beta = torch.tensor([0.9, 0.0, -0.45, 0.3, 0.0], dtype=torch.float64)
    y = 0.3 + x @ beta + _columns(rows, 1, 1)[:, 0]
    groups = changes.get("groups", torch.arange(_COLUMNS))
    settings: dict[str, Any] = {
        "prior": _odds(int(groups.max()) + 1),
        "slab_scale": torch.linspace(0.8, 1.2, _COLUMNS, dtype=torch.float64),
        "noise": 1.0,
    }
    return GaussianProblem(x=x, y=y, **{**settings, **changes})


def _generalised(kind: str, **changes: Any) -> GeneralisedProblem:
    rows, count = _GENERALISED_ROWS, _GENERALISED_COLUMNS
    x, generator = _uncorrelated(rows, count, 2), torch.Generator().manual_seed(3)
    eta = 0.2 + 0.7 * x[:, 0] - 0.35 * x[:, 1]
    likelihood: Likelihood
    if kind == "bernoulli":
        y, likelihood = torch.bernoulli(torch.sigmoid(eta), generator=generator), Bernoulli()
    elif kind == "binomial":
        trials = 1.0 + torch.arange(rows, dtype=torch.float64) % 4
        y = torch.binomial(trials, torch.sigmoid(eta), generator=generator)
        likelihood = Binomial(trials)
    else:
        y = torch.poisson(torch.exp(0.6 * eta), generator=generator)
        likelihood = Poisson() if kind == "poisson" else NegativeBinomial(0.6)
    groups = changes.get("groups", torch.arange(count))
    settings: dict[str, Any] = {
        "prior": _odds(int(groups.max()) + 1),
        "slab_scale": torch.ones(count, dtype=torch.float64),
        **_intercept(rows),
    }
    return GeneralisedProblem(x=x, y=y, likelihood=likelihood, **{**settings, **changes})


_BETA = InclusionPrior(beta=(1.0, 2.0))
_GROUPS = torch.tensor([0, 1, 0, 2, 1])
_UNKNOWN = InverseGamma(2.0, 1.5)

GAUSSIAN: dict[str, Callable[[], SelectionProblem]] = {
    "a known noise": _gaussian,
    "an unknown noise": lambda: _gaussian(noise=_UNKNOWN),
    "slabs in units of a known noise": lambda: _gaussian(noise=0.8, slab_scaled_by_noise=True),
    "slabs in units of an unknown noise": lambda: _gaussian(noise=_UNKNOWN, slab_scaled_by_noise=True),
    "slabs in units of an unknown noise, an intercept": lambda: _gaussian(
        noise=_UNKNOWN, slab_scaled_by_noise=True, **_intercept(_ROWS)
    ),
    "own odds": lambda: _gaussian(
        prior=InclusionPrior(log_odds=torch.linspace(-2.0, 1.0, _COLUMNS, dtype=torch.float64))
    ),
    "a Beta prior": lambda: _gaussian(prior=_BETA),
    "groups": lambda: _gaussian(groups=_GROUPS),
    "unpenalised columns": lambda: _gaussian(**_two_unpenalised(_ROWS)),
    "an offset": lambda: _gaussian(**_offset(_ROWS)),
    "weights": lambda: _gaussian(noise=_UNKNOWN, **_weights(_ROWS)),
    "weights that are counts": lambda: _gaussian(
        noise=_UNKNOWN, weights=1.0 + torch.arange(_ROWS) % 3, weights_are_counts=True
    ),
    "more columns than rows": lambda: _gaussian(rows=4),
    "all at once": lambda: _gaussian(
        noise=_UNKNOWN,
        prior=_BETA,
        groups=_GROUPS,
        **_two_unpenalised(_ROWS),
        **_offset(_ROWS),
        **_weights(_ROWS),
    ),
}
"""Gaussian problems, by name."""

GENERALISED: dict[str, Callable[[], SelectionProblem]] = {
    "Bernoulli": lambda: _generalised("bernoulli"),
    "binomial": lambda: _generalised("binomial"),
    "Poisson": lambda: _generalised("poisson"),
    "negative binomial": lambda: _generalised("negative_binomial"),
    "Bernoulli, all at once": lambda: _generalised(
        "bernoulli",
        prior=_BETA,
        groups=torch.tensor([0, 1, 0]),
        **_offset(_GENERALISED_ROWS),
        **_weights(_GENERALISED_ROWS),
    ),
    "Poisson without an intercept": lambda: _generalised(
        "poisson",
        unpenalised=torch.empty(_GENERALISED_ROWS, 0),
        unpenalised_scale=torch.empty(0),
        **_offset(_GENERALISED_ROWS),
    ),
}
"""Generalised problems, by name."""

PROBLEMS = {**GAUSSIAN, **GENERALISED}


def many_gates(count: int = 200) -> list[SelectionProblem]:
    """Problems with more gates than any engine can enumerate, one Gaussian, one generalised.

    Args:
        count: Number of gates.
    """
    x, scale = _columns(_ROWS, count), torch.ones(count, dtype=torch.float64)
    prior = InclusionPrior(log_odds=torch.full((count,), math.log(2.0 / count), dtype=torch.float64))
    y = x[:, 0] + _columns(_ROWS, 1, 1)[:, 0]
    return [
        GaussianProblem(x, y, prior, scale, noise=1.0),
        GeneralisedProblem(x, (y > 0).double(), prior, scale, likelihood=Bernoulli()),
    ]
