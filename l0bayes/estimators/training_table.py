r"""From what a user gives as X to the numbers that are fitted, and the same numbers for predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_X_y, validate_data

from l0bayes.estimators.frame_coding import FrameCoding
from l0bayes.estimators.input_tables import (
    Array,
    column_names,
    is_frame,
    refuse_not_finite,
    refuse_table,
    refuse_text,
    row_weights,
    warn_of_order,
)

__all__ = ["TrainingTable", "prediction_table", "training_table"]


@dataclass(frozen=True)
class TrainingTable:
    """The rows that count.

    Attributes:
        coding: How the columns of X became numbers.
        values: The numbers, shape ``(n, p)``.
        y: The response, shape ``(n,)``.
        weights: Weights of the rows, shape ``(n,)``.
        rows: Their places in X, shape ``(n,)``.
    """

    coding: FrameCoding
    values: Array
    y: Any
    weights: Array
    rows: Any

    def row_name(self, place: int) -> str:
        """``"row 7 of X, counted from 0"``.

        Args:
            place: Place among the rows that count.
        """
        return f"row {int(self.rows[place])} of X, counted from 0"


def training_table(
    estimator: Any,
    X: Any,  # noqa: N803
    y: Any,
    sample_weight: Any,
    *,
    numeric: bool,
) -> TrainingTable:
    """Read and check X, y and weights, and set scikit-learn's names and number of columns.

    Args:
        estimator: The estimator that is fitted.
        X: Columns: an array of numbers, or a frame of numbers, text and categories.
        y: Response.
        sample_weight: Weights of the rows, or ``None``.
        numeric: Whether the response must be numbers.

    Raises:
        ValueError: If they are not what they must be, by name.
    """
    refuse_table(X)
    warn_of_order(X, y)
    if numeric:
        refuse_text(y)
    coding = FrameCoding([])
    if is_frame(X):
        coding = FrameCoding.learn(X, row_weights(sample_weight, len(X)) > 0)
    values: Any
    if coding.factors:
        validate_data(estimator, X, skip_check_array=True)
        check: Any = check_X_y
        values, y = check(
            coding.encode(X, fitting=True), y, dtype=np.float64, ensure_all_finite=False, y_numeric=numeric
        )
    else:
        both: Any = validate_data(
            estimator, X, y, dtype=np.float64, ensure_all_finite=False, y_numeric=numeric
        )
        values, y = both
        coding = FrameCoding(column_names(getattr(estimator, "feature_names_in_", None), values.shape[1]))
    refuse_not_finite(values, coding.columns)
    weights = row_weights(sample_weight, len(values))
    used = weights > 0
    return TrainingTable(coding, values[used], y[used], weights[used], np.flatnonzero(used))


def prediction_table(estimator: Any, X: Any, coding: FrameCoding) -> Array:  # noqa: N803
    """The numbers of other rows of the same columns.

    Args:
        estimator: The fitted estimator.
        X: Its columns, by the same names in the same order.
        coding: How they become numbers.

    Raises:
        ValueError: If columns are missing, new or in another order, or a level is unknown, by name.
    """
    refuse_table(X)
    if coding.factors:
        if not is_frame(X):
            raise ValueError(
                f"X must be a frame with the columns {', '.join(coding.names)}, as in fit: it has factors"
            )
        validate_data(estimator, X, reset=False, skip_check_array=True)
        values = coding.encode(X)
    else:
        found: Any = validate_data(estimator, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        values = np.asarray(found)
    refuse_not_finite(values, coding.columns)
    return values
