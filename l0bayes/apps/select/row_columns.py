r"""Columns that say something of each row: offset, exposure, weights, trials, events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes import validate
from l0bayes.apps.select.table_checks import data_row, rows_of
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.row_terms import RowTerms
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name
from l0bayes.likelihoods.likelihood_registry import names as likelihood_names

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "RowColumns",
    "RowNumbers",
    "check_learned_by_weight",
    "check_survival",
    "law_with_columns",
    "row_numbers",
    "survival_response",
]

_SURVIVAL = re.compile(r"\s*Surv\s*\((?P<inside>.*)\)\s*", re.DOTALL)
_COLUMN = re.compile(r"\s*(?:`(?P<quoted>[^`]+)`|(?P<bare>[^\W\d][\w.]*))\s*")


@dataclass(frozen=True)
class RowColumns:
    """Names of the columns; ``None`` where there is none.

    Args:
        offset: What is added to the linear predictor.
        exposure: Of counts, what their mean is in proportion to.
        weights: How many rows a row stands for.
        trials: Of successes, in how many trials.
        event: Of times, whether the event was seen then.
    """

    offset: str | None = None
    exposure: str | None = None
    weights: str | None = None
    trials: str | None = None
    event: str | None = None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """What is given, with the column of each."""
        for part in fields(self):
            name = getattr(self, part.name)
            if name is not None:
                yield part.name, name

    def check_known(self, names: Sequence[str]) -> None:
        """Refuse columns that the table does not have.

        Args:
            names: Those that it has.

        Raises:
            ValueError: By option.
        """
        for kind, name in self:
            if name not in names:
                what = "Surv" if kind == "event" else f"--{kind}"
                raise ValueError(
                    f"{what} names the column {name!r}, which is not in the table; it has {', '.join(names)}"
                )

    @property
    def words(self) -> list[str]:
        """One sentence for each."""
        told = {
            "offset": "Column {} is the offset: it is added to the linear predictor as it stands.",
            "exposure": "Column {} is the exposure: the mean is in proportion to it.",
            "weights": "Column {} holds weights: a row of weight w counts as w rows like it.",
            "trials": "Column {} holds the numbers of trials.",
            "event": "Column {} says whether the event was seen at the time (1) or not until then (0).",
        }
        return [told[kind].format(name) for kind, name in self]


@dataclass(frozen=True)
class RowNumbers:
    """What the columns hold.

    Attributes:
        weights: Weights of the rows, or ``None``.
        terms: The rest.
    """

    weights: Array | None = None
    terms: RowTerms = field(default_factory=RowTerms)

    @property
    def counts(self) -> Array | None:
        """How many rows each row stands for; ``None`` where each stands for itself."""
        counted = self.terms.counted
        if counted is None:
            return self.weights
        return counted if self.weights is None else counted * self.weights


def survival_response(left: str) -> tuple[str, str] | None:
    """Columns of time and event where the left-hand side is ``Surv(time, event)``; ``None`` elsewhere.

    Args:
        left: Left-hand side of a formula.

    Raises:
        ValueError: If there are not two columns in it.
    """
    match = _SURVIVAL.fullmatch(left)
    if match is None:
        return None
    parts = [_COLUMN.fullmatch(part) for part in match["inside"].split(",")]
    names = [part["quoted"] or part["bare"] for part in parts if part is not None]
    if len(names) != len(parts) or len(names) != 2:
        raise ValueError(
            "Surv must hold two columns, a time and whether the event was seen then, as in "
            f"Surv(time, event); got {left.strip()}"
        )
    return names[0], names[1]


def law_with_columns(name: str | None, options: Mapping[str, Any], columns: RowColumns) -> Likelihood:
    """The likelihood that is asked for, or that the columns imply.

    Args:
        name: Its name, or ``None``.
        options: Its options.
        columns: Columns that say something of each row.

    Raises:
        ValueError: If there is no such likelihood, or columns do not go with it.
    """
    implied = "gaussian" if columns.trials is None else "binomial"
    chosen = implied if name is None else name
    if chosen not in likelihood_names():  # why a known one is not taken is said further down
        validate.one_of(dict.fromkeys([*likelihood_names("selection"), "binomial"]), likelihood=chosen)
    if chosen == "binomial":
        if columns.trials is None:
            raise ValueError(
                "likelihood 'binomial' needs --trials COLUMN, the numbers of trials; of one trial a row "
                "--likelihood bernoulli takes the classes"
            )
        law = likelihood_by_name(chosen, None, **options)
    else:
        learned = {"df": "learned"} if chosen == "student_t" else {}
        law = likelihood_by_name(chosen, "selection", **{**learned, **options})
    if columns.trials is not None and not law.takes_trials:
        raise ValueError(f"--trials is of --likelihood binomial; got it with {law.name!r}")
    if columns.offset is not None and columns.exposure is not None:
        raise ValueError("give --offset or --exposure, not both: an exposure is the offset log(exposure)")
    if columns.exposure is not None and not law.takes_exposure:
        raise ValueError(
            f"--exposure is of counts (--likelihood poisson or negative_binomial); got it with {law.name!r}"
        )
    return law


def check_survival(law: Likelihood, *, survival: bool) -> None:
    """Refuse a response that is not of the likelihood's kind.

    Args:
        law: The likelihood.
        survival: Whether the response is ``Surv(time, event)``.

    Raises:
        ValueError: If only one of the two is of times and events.
    """
    if survival and law.by_row:
        raise ValueError(f"Surv(time, event) is of --likelihood cox; got it with {law.name!r}")
    if not survival and not law.by_row:
        raise ValueError(
            f"likelihood {law.name!r} takes times and events: write the formula as Surv(time, event) ~ ..."
        )


def check_learned_by_weight(of_all_rows: Sequence[str], weights: Array | None) -> None:
    """Refuse expressions that are computed from all rows, each counted once, where weights say otherwise.

    Args:
        of_all_rows: The expressions, as typed.
        weights: Weights of the rows.

    Raises:
        ValueError: If there are any.
    """
    if of_all_rows and weights is not None and (weights != 1.0).any():
        raise ValueError(
            f"{of_all_rows[0]} in the formula is computed from all rows, each counted once, and --weights "
            "has them count otherwise: use center(), scale(), poly() or a spline, which count each row by "
            "its weight, or make the column in the table"
        )


def row_numbers(table: pd.DataFrame, columns: RowColumns) -> RowNumbers:
    """What the columns hold, checked.

    Args:
        table: The table, without missing values.
        columns: Names of the columns.

    Raises:
        ValueError: If a column holds something else, by row.
    """
    held = {kind: _numbers(table, kind, name) for kind, name in columns}
    if "weights" in held and not held["weights"].any():
        raise ValueError(f"column {columns.weights!r} of --weights is 0 in all {rows_of(len(table))}")
    if "trials" in held and not held["trials"].any():
        raise ValueError(f"column {columns.trials!r} of --trials is 0 in all {rows_of(len(table))}")
    if "event" in held and not held["event"].any():
        raise ValueError(
            f"column {columns.event!r} holds no event: it is 0 in all {rows_of(len(table))}, and without an "
            "event nothing can be learned. 1 says that the event was seen at the time"
        )
    offset = np.log(held["exposure"]) if "exposure" in held else held.get("offset")
    return RowNumbers(held.get("weights"), RowTerms(offset, held.get("trials"), held.get("event")))


_CONDITIONS = {
    "offset": ("be finite", lambda values: ~np.isfinite(values)),
    "exposure": ("be positive and finite", lambda values: ~(np.isfinite(values) & (values > 0))),
    "weights": ("be finite and not negative", lambda values: ~(np.isfinite(values) & (values >= 0))),
    "trials": ("be whole and not negative", lambda values: ~((values >= 0) & (values % 1 == 0))),
    "event": ("be 0 or 1, or true or false", lambda values: (values != 0) & (values != 1)),
}


_REMEDIES = {
    "offset": "It is added to the linear predictor: leave out rows without one",
    "exposure": "The mean of a count is in proportion to it: leave out rows without any",
    "weights": "A row of weight w counts as w rows: write 0 for one that is not to count",
    "trials": "They are counts: write how often each row was tried",
    "event": "Write 1 where the event was seen at the time, and 0 where the row was lost from sight then",
}


def _numbers(table: pd.DataFrame, kind: str, name: str) -> Array:
    import pandas as pd

    values = table[name]
    what = f"column {name!r} of {'Surv' if kind == 'event' else f'--{kind}'}"
    if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
        instead = ": 1 where the event was seen at the time, 0 where the row was lost from sight then"
        raise ValueError(
            f"{what} must hold numbers, it holds text, such as {values.iloc[0]!r}"
            f"{instead if kind == 'event' else ''}"
        )
    numbers: Array = values.to_numpy(float)
    condition, wrong_where = _CONDITIONS[kind]
    wrong = np.flatnonzero(wrong_where(numbers))
    if len(wrong):
        raise ValueError(
            f"{what} must {condition}: {numbers[wrong[0]]:g} in {data_row(values.index, wrong[0])}, and so "
            f"in {rows_of(len(wrong))}. {_REMEDIES[kind]}"
        )
    return numbers
