r"""What is known of each row beside its columns, response and weight: offset, exposure, trials, events."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from l0bayes.estimators.input_tables import Array
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.user_warnings import warn_user

__all__ = [
    "ROUTING",
    "OffsetWarning",
    "RowTerms",
    "one_a_row",
    "row_offset",
    "row_values",
    "warn_without_offset",
]

ROUTING = (
    "In cross_val_score, GridSearchCV and the like, scikit-learn passes what is given with the rows on to "
    "fit and score after sklearn.set_config(enable_metadata_routing=True)"
)
"""How numbers that go with rows come into every part of a cross-validation."""


class OffsetWarning(UserWarning):
    """Predictions lack the offset or exposure that the rows of the fit had."""


@dataclass(frozen=True)
class RowTerms:
    """One number a row of each kind; ``None`` where there are none.

    Attributes:
        offset: What is added to the linear predictor.
        trials: Numbers of trials.
        events: Whether the event was seen at the time of the row.
    """

    offset: Array | None = None
    trials: Array | None = None
    events: Array | None = None

    @property
    def counted(self) -> Array | None:
        """Weights that leave out rows in which nothing is observed: those without trials."""
        if self.trials is None or (self.trials > 0).all():
            return None
        counted: Array = (self.trials > 0).astype(np.float64)
        return counted

    def of_rows(self, rows: Any) -> RowTerms:
        """Those of some rows.

        Args:
            rows: Places of the rows.
        """
        given = {part.name: getattr(self, part.name) for part in fields(self)}
        return RowTerms(**{name: None if value is None else value[rows] for name, value in given.items()})


def one_a_row(count: int, values: Any) -> Any:
    """One number for all rows as one a row; anything else as it is.

    Args:
        count: Number of rows.
        values: What was given.
    """
    return values if values is None or np.ndim(values) else np.full(count, values, dtype=np.float64)


def row_values(
    name: str,
    values: Any,
    count: int,
    accepted: str = "finite numbers",
    least: float = -np.inf,
    above: bool = False,
) -> Array:
    """One number a row.

    Args:
        name: Name of the argument.
        values: What was given.
        count: Number of rows.
        accepted: What is accepted, in words.
        least: The smallest that is.
        above: Whether it must be above ``least``.

    Raises:
        ValueError: If there is not one a row, or one is not finite or too small; by row.
    """
    try:
        numbers = np.array(values, dtype=np.float64)  # a copy: torch warns of read-only ones
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold {accepted}, one a row") from error
    if numbers.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), one a row; got {numbers.shape}")
    wrong = ~np.isfinite(numbers) | (numbers <= least if above else numbers < least)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} must hold {accepted}; got {numbers[row]:g} in row {row} ({int(wrong.sum())} such rows)"
        )
    return numbers


def warn_without_offset() -> None:
    """Warn of predictions at an offset of 0 after a fit that had others."""
    warn_user(
        "fit had an offset or exposure, and predictions got none: they are at an offset of 0, an exposure of "
        "1. Give offset= or exposure=, one a row or one number for all; offset=0 says that this is meant. "
        "Scorers of scikit-learn pass neither on to predict, the estimator's own score takes them",
        OffsetWarning,
    )


def row_offset(likelihood: Likelihood, count: int, offset: Any, exposure: Any) -> Array | None:
    r"""The offset of every row: as given, or the logarithm of its exposure.

    Args:
        likelihood: Law of the response.
        count: Number of rows.
        offset: One number a row, or ``None``.
        exposure: Positive, one number a row, or ``None``.

    Raises:
        ValueError: If both are given, they are not one a row, not finite or not positive, or the mean of the
            law is not in proportion to an exposure.
    """
    if exposure is None:
        return None if offset is None else row_values("offset", offset, count)
    if offset is not None:
        raise ValueError("give offset or exposure, not both: an exposure is the offset log(exposure)")
    if not likelihood.takes_exposure:
        raise ValueError(
            f"exposure is for counts, whose mean is in proportion to it; with the {likelihood.name} "
            "likelihood give offset, which is added to the linear predictor"
        )
    return np.log(row_values("exposure", exposure, count, "positive numbers", 0.0, above=True))
