r"""Fits of tables that are read by column: memory maps, sparse matrices, arrays of few digits, Arrow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l0bayes.estimators.arguments import inclusion_prior, slab_scales
from l0bayes.estimators.input_tables import ConstantColumnWarning, refuse_text, row_weights
from l0bayes.estimators.original_scale import OriginalScalePosterior
from l0bayes.estimators.row_terms import RowTerms
from l0bayes.estimators.scaling import Scaling
from l0bayes.selection.column_sources.any_source import column_source, reads_columns
from l0bayes.selection.column_sources.chosen_rows import ChosenRows
from l0bayes.selection.column_sources.column_source import ColumnSource
from l0bayes.selection.engines.infer_wide import infer_wide
from l0bayes.selection.wide.wide_posterior import WidePosterior
from l0bayes.selection.wide.wide_problem import WideProblem
from l0bayes.user_warnings import warn_user

__all__ = [
    "ColumnFit",
    "columns_of_fit",
    "fit_by_column",
    "goes_by_column",
    "in_memory",
    "small_for_memory",
]

# From so many columns on a table that could be copied is not.
_MANY_COLUMNS = 5000
# Sparse and Arrow tables with fewer columns are.
_FEW_COLUMNS = 1500
# Columns that vary by less than this share of their size are constant up to rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ColumnFit:
    """What a fit by column found.

    Attributes:
        wide: The posterior in standardised units.
        original: That of the kept columns on the user's scale.
        target: The response.
        slope: Posterior mean of all coefficients on the user's scale, shape ``(p,)``.
        intercept: Posterior mean of the intercept.
        source: The columns.
        had_offset: Whether ``target`` is the response without an offset that rows had.
    """

    wide: WidePosterior
    original: OriginalScalePosterior
    target: Tensor
    slope: Tensor
    intercept: float
    source: ColumnSource
    had_offset: bool = False


def goes_by_column(table: Any, engine: str) -> bool:
    """Whether a table is read by column as it is, instead of being copied in double precision.

    Args:
        table: What was given as X.
        engine: Name of the engine, or ``"auto"``.
    """
    if engine not in ("auto", "wide") or not reads_columns(table):
        return False
    plain = isinstance(table, np.ndarray | Tensor)
    if not plain:  # nothing else takes it
        return True
    if engine == "wide" and str(table.dtype).removeprefix("torch.") != "float64":
        return True
    return bool(table.ndim == 2 and table.shape[1] >= _MANY_COLUMNS)


def small_for_memory(table: Any) -> bool:
    """Whether a table is so small that it may as well be copied.

    Args:
        table: One that is read by column.
    """
    return column_source(table).num_columns < _FEW_COLUMNS


def in_memory(table: Any) -> Any:
    """A table that only sources read as an array or frame of float64; any other as it is.

    Args:
        table: What was given as X.
    """
    if isinstance(table, np.ndarray | Tensor) or not reads_columns(table):
        return table
    source = column_source(table)
    values = source.gather(torch.arange(source.num_columns)).numpy()
    if source.names is None:
        return values
    import pandas as pd

    return pd.DataFrame(values, columns=list(source.names))


def fit_by_column(
    estimator: Any,
    table: Any,
    y: Any,
    sample_weight: Any,
    *,
    terms: Callable[[int], RowTerms],
    noise: Callable[[Tensor, Tensor, float], Any],
    seed: int,
) -> ColumnFit:
    """Fit a linear regression to a table that is read by column.

    Args:
        estimator: Its arguments are read.
        table: What was given as X.
        y: Response.
        sample_weight: Weights of the rows, or ``None``.
        terms: What else is known of the rows, by their number.
        noise: From the standardised response, the weights, and the unit of the response to the noise.
        seed: Seed.

    Raises:
        ValueError: If something is not what it must be, by name, or the estimator has an argument that goes
            with tables in memory only.
    """
    for name in ("groups", "always_in", "heredity"):
        if getattr(estimator, name) is not None:
            raise ValueError(
                f"{name} is for tables in memory, and this one is read by column: give X as a float64 array "
                "and engine='gibbs'"
            )
    if estimator.slab != "normal":
        raise ValueError(
            f"slab={estimator.slab!r} is for tables in memory, and this one is read by column: give X as a "
            "float64 array and engine='gibbs', or slab='normal'"
        )
    if isinstance(estimator.slab_scale, str):
        raise ValueError(
            f"slab_scale={estimator.slab_scale!r} is for tables in memory, and this one is read by column: "
            "give X as a float64 array and engine='gibbs', or slab_scale as a number"
        )
    source = column_source(table)
    target, weights = _response(y, source), torch.from_numpy(row_weights(sample_weight, source.num_rows))
    offset = terms(source.num_rows).offset
    if offset is not None:
        target = target - torch.from_numpy(offset)
    counted = weights > 0
    if not bool(counted.all()):
        source, target, weights = (
            ChosenRows(source, counted.nonzero()[:, 0]),
            target[counted],
            weights[counted],
        )
    scaling, squares = _scaling(estimator, source, target, weights)
    problem = _problem(estimator, source, target, weights, scaling, squares, noise)
    with _progress_bar(estimator._tell) as progress:
        wide = infer_wide(problem, options=estimator.options, seed=seed, progress=progress)
    kept = wide.kept
    few = Scaling(scaling.center[kept], scaling.scale[kept], scaling.response_center, scaling.response_scale)
    names = [source.column_name(column) for column in kept.tolist()]
    original = OriginalScalePosterior(wide.few, few, names, names, seed)
    slope = wide.mean * scaling.slope
    intercept = 0.0
    if estimator.fit_intercept:
        # That of the few columns, and what the others have about their means.
        intercept = float(original.intercept + original.mean @ few.center - slope @ scaling.center)
    had_offset = offset is not None and bool(offset.any())
    return ColumnFit(wide, original, target, slope, intercept, source, had_offset)


def columns_of_fit(table: Any, fit: ColumnFit) -> Tensor:
    """The columns of other rows that the fit has kept, shape ``(n, k)``.

    Args:
        table: Columns, as in fit.
        fit: What was found.

    Raises:
        ValueError: If there are more or fewer columns, or other names.
    """
    source = column_source(table)
    if source.num_columns != fit.source.num_columns:
        raise ValueError(
            f"X has {source.num_columns} columns, and the fit had {fit.source.num_columns}: give the same"
        )
    if None not in (source.names, fit.source.names) and list(source.names or ()) != list(
        fit.source.names or ()
    ):
        raise ValueError("X has other names of columns, or another order of them, than in fit")
    return source.gather(fit.wide.kept)


def _response(y: Any, source: ColumnSource) -> Tensor:
    refuse_text(y)
    values = np.array(y, dtype=np.float64)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (source.num_rows,):
        raise ValueError(
            f"X is of the wrong size: it has {source.num_rows} rows, and y the shape {values.shape}. There "
            "must be one response a row"
        )
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax())
        raise ValueError(f"y must be finite, got {values[row]} in row {row}")
    return torch.from_numpy(values)


def _scaling(estimator: Any, source: ColumnSource, y: Tensor, weights: Tensor) -> tuple[Scaling, Tensor]:
    """Units to compute in, and the weighted sums of squares of the columns in them."""
    moments = source.moments(weights)
    spread, centred = moments.variance.sqrt(), bool(estimator.fit_intercept)
    scaling = Scaling.none(source.num_columns)
    if estimator.standardize:
        of_y = Scaling.of(y[:, None], weights, centered=centred, y=y)
        center = moments.mean if centred else torch.zeros_like(moments.mean)
        scaling = Scaling(center, spread, of_y.response_center, of_y.response_scale)
    size = torch.maximum(moments.mean.abs(), spread)
    constant = size == 0.0
    if estimator.standardize or centred:
        constant |= spread <= _ROUNDING * size
    if bool(constant.all()):
        raise ValueError("X is constant in every column: nothing to select")
    if bool(constant.any()):
        which = constant.nonzero()[:, 0]
        others = f" (and {len(which) - 1} more)" if len(which) > 1 else ""
        warn_user(
            f"X is constant in column {source.column_name(int(which[0]))!r}{others}: the data say nothing "
            "about it. Its coefficient is 0, and its PIP is what the prior says",
            ConstantColumnWarning,
        )
    scaling = scaling.without(constant)
    about = moments.variance + (moments.mean - scaling.center).square()
    return scaling, float(weights.sum()) * about / scaling.scale.square()


def _problem(
    estimator: Any,
    source: ColumnSource,
    target: Tensor,
    weights: Tensor,
    scaling: Scaling,
    squares: Tensor,
    noise: Callable[[Tensor, Tensor, float], Any],
) -> WideProblem:
    count, y = source.num_columns, scaling.response(target)
    common: dict[str, Any] = {}
    if estimator.fit_intercept:
        common["unpenalised"] = torch.ones(len(y), 1, dtype=torch.float64)
        common["unpenalised_scale"] = torch.tensor([float(estimator.intercept_scale)], dtype=torch.float64)
    return WideProblem(
        source,
        scaling.center,
        scaling.scale,
        y=y,
        prior=inclusion_prior(estimator.inclusion, torch.arange(count)),
        slab_scale=slab_scales(estimator.slab_scale, count),
        noise=noise(y, weights, scaling.response_scale),
        weights=weights,
        slab_scaled_by_noise=bool(estimator.slab_scaled_by_noise),
        weights_are_counts=True,
        squares=squares,
        **common,
    )


@contextmanager
def _progress_bar(tell: Callable[[float], None]) -> Iterator[Callable[[float], None]]:
    """A bar on stderr, in a terminal only."""
    from tqdm import tqdm  # Pyro brings it

    form = "Selecting {bar} {percentage:3.0f}% {remaining}"
    with tqdm(total=1.0, bar_format=form, file=sys.stderr, leave=False, disable=None) as bar:

        def show(share: float) -> None:
            bar.update(share - bar.n)
            tell(share)

        yield show
