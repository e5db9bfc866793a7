r"""Selection from moments alone: sums of squares and products of columns and response."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from torch import Tensor

from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.moment_digits import check_digits
from l0bayes.estimators.moment_labels import labelled_moments
from l0bayes.estimators.regressor import SpikeSlabRegressor

__all__ = ["MomentRegressor", "select_from_moments"]

# Eigenvalues of the correlations may be so far below 0 by rounding.
_ROUNDING = 1e-9


class MomentRegressor(SpikeSlabRegressor):
    """The estimator that :func:`select_from_moments` gives.

    Its rows were made to have the moments: nothing is said of rows or residuals, of which moments know no
    more than their size. After ``fit`` to rows it is the estimator of these.
    """

    _of_moments = False

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, offset: Any = None) -> Self:  # noqa: N803
        self._of_moments = False
        return super().fit(X, y, sample_weight, offset=offset)

    def fit_made(self, made: Any, response: Array, weights: Array) -> Self:
        """Find the posterior of rows that were made to have some moments.

        Args:
            made: Columns, shape ``(m, p)``.
            response: Response, shape ``(m,)``.
            weights: How many rows each stands for, shape ``(m,)``.
        """
        self._of_moments = True
        return super().fit(made, response, weights)

    def _likelihood_checks(self, *given: Any) -> list[Any]:
        return [] if self._of_moments else super()._likelihood_checks(*given)

    def supports_row_checks(self) -> str | None:
        if self._of_moments:
            return (
                "moments hold no rows, and those of the fit were made up to have them. Fit "
                "SpikeSlabRegressor to the rows, where they are at hand"
            )
        return super().supports_row_checks()

    def _observed(self) -> Tensor | None:
        return None if self._of_moments else super()._observed()


def select_from_moments(
    xtx: Any,
    xty: Any,
    yty: float,
    n: float,
    means: Any = None,
    *,
    names: Sequence[str] | None = None,
    **arguments: Any,
) -> MomentRegressor:
    r"""What :class:`~l0bayes.estimators.SpikeSlabRegressor` finds in data with these moments.

    Moments are sufficient for a Normal response: a database, several sites or a published table need not give
    any row. Rows are made that have the moments, :math:`p + 2` of weight :math:`n/(p + 2)`, and fitted:
    probabilities, coefficients and evidence are those of the data to rounding, under every prior.

    Args:
        xtx: :math:`X'X`, sums of products of the columns as they stand, shape ``(p, p)``. A data frame names
            the columns; a series of ``xty`` or ``means`` is put into their order by its labels.
        xty: :math:`X'y`, shape ``(p,)``.
        yty: :math:`y'y`.
        n: Number of rows.
        means: Means of columns and response, the response's last, shape ``(p + 1,)``, or a pair of the
            columns' and the response's; zeros for moments that were centred. With them there is an intercept.
            Without them there is none, and columns are standardised as if their means were 0. Means that
            are large beside the spread of their columns cost :math:`X'X - n\,\bar x\bar x'` its digits: where
            that could be seen in a probability, the moments are refused, and centred ones are needed.
        names: Names of the columns; by default the labels of ``xtx``, or ``x0``, ``x1``, ...
        **arguments: Of the estimator.

    Returns:
        The fitted estimator.

    Raises:
        ValueError: If shapes do not fit, numbers are not finite, labels name other columns than others do,
            no data have such moments, or their means leave too few digits of the spread, by name.
    """
    labelled = labelled_moments(xtx, xty, means, names)
    xtx, xty, means = labelled.xtx, labelled.xty, labelled.means
    x, response, square = _array("xtx", xtx, 2), _array("xty", xty, 1), _number("yty", yty)
    rows, p = _number("n", n), len(response)
    if x.shape != (p, p):
        raise ValueError(f"xtx must have the shape ({p}, {p}), as xty has {p} entries; got {x.shape}")
    if not rows >= 1.0:
        raise ValueError(f"n must be the number of rows, at least 1; got {n!r}")
    if names is not None and len(names) != p:
        raise ValueError(f"names must name each of {p} columns, got {len(names)}")
    intercept = arguments.setdefault("fit_intercept", means is not None)
    if intercept and means is None:
        raise ValueError("fit_intercept needs means: zeros where the moments were centred")
    if np.abs(x - x.T).max() > 1e-8 * np.abs(x).max():
        raise ValueError("xtx must be symmetric, and is not")
    middle = np.zeros(p + 1) if means is None else _means(means, p)
    moments = np.block([[x, response[:, None]], [response[None], np.array([[square]])]])
    about = moments - rows * np.outer(middle, middle)
    if intercept:
        check_digits(moments, about, rows, [*(labelled.names or (f"x{index}" for index in range(p))), "y"])
    made = _rows(about, rows, centred=means is not None) + middle
    table: Any = made[:, :p]
    if labelled.names is not None:
        import pandas as pd

        table = pd.DataFrame(table, columns=labelled.names)
    return MomentRegressor(**arguments).fit_made(table, made[:, p], np.full(len(made), rows / len(made)))


def _rows(moments: Array, n: float, *, centred: bool) -> Array:
    """Rows of equal weight with these sums of products, and sums of zero."""
    scale = np.sqrt(np.clip(np.diag(moments), 0.0, None))
    if (np.diag(moments) < 0.0).any():
        place = int((np.diag(moments) < 0.0).argmax())
        what = "yty" if place == len(moments) - 1 else f"xtx, in column {place},"
        raise ValueError(f"{what} is smaller than its mean allows: the moments must be positive definite")
    unit = np.where(scale > 0.0, scale, 1.0)
    values, vectors = np.linalg.eigh(moments / unit[:, None] / unit)
    if values.min() < -_ROUNDING * len(values):
        raise ValueError(
            "xtx, xty and yty must be positive definite together, as those of any data are; their "
            f"correlations have the eigenvalue {values.min():.3g}"
        )
    rank, most = int((values > _ROUNDING * len(values)).sum()), math.ceil(n) - centred
    if rank > most:
        raise ValueError(
            f"n must be the number of rows: {n:g} rows have "
            f"{'deviations from their means' if centred else 'columns'} of rank {most} at most, and xtx, xty "
            f"and yty together have rank {rank}. Give the n that the sums are of"
        )
    root = vectors * np.sqrt(np.clip(values, 0.0, None)) @ vectors.T
    count = len(moments) + 1
    # Orthonormal, and orthogonal to a column of ones.
    basis = np.linalg.svd(np.eye(count) - 1.0 / count)[0][:, : count - 1]
    made: Array = basis @ root * unit * math.sqrt(count / n)
    return made


def _means(means: Any, p: int) -> Array:
    if isinstance(means, tuple) and len(means) == 2 and np.ndim(means[0]) == 1:
        means = np.append(np.asarray(means[0], dtype=np.float64), _number("means", means[1]))
    found = _array("means", means, 1)
    if found.shape != (p + 1,):
        raise ValueError(
            f"means must have {p + 1} entries, those of {p} columns and the response's; got {len(found)}"
        )
    return found


def _array(name: str, values: Any, dimensions: int) -> Array:
    try:
        found = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, got {values!r}") from error
    if found.ndim != dimensions or not found.size:
        raise ValueError(f"{name} must have {dimensions} dimension(s), got the shape {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} must be finite, got {found[~np.isfinite(found)][0]}")
    return found


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(float(value)):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)
