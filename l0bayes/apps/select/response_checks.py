r"""What a response must be under its law: clear words where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from l0bayes.apps.select.table_checks import check_finite_column, data_row, rows_of
from l0bayes.estimators.row_terms import RowTerms
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import names as likelihood_names
from l0bayes.likelihoods.likelihood_registry import registered

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_response"]


def check_response(
    values: pd.Series[Any], name: str, likelihood: Likelihood, terms: RowTerms | None = None
) -> pd.Series[Any]:
    """The response as an estimator takes it.

    Args:
        values: The response, without missing values.
        name: Its name.
        likelihood: Its law.
        terms: What is known of the rows beside: trials, events.

    Raises:
        ValueError: If such values cannot be observed under the law.
    """
    import pandas as pd

    option = f"--likelihood {likelihood.name}"
    if likelihood.has_classes:
        classes = sorted(values.unique().tolist(), key=str)
        if len(classes) == 1:
            raise ValueError(
                f"response {name!r} has one class only, {_short(classes[0])} in all {rows_of(len(values))}: "
                "there is nothing to tell apart"
            )
        if len(classes) > 2:
            raise ValueError(
                f"response {name!r} must have two classes for {option}, got {len(classes)}: "
                f"{', '.join(map(_short, classes[:4]))}, ... Write a column that says yes or no, such as one "
                "class against the others; of counts, --likelihood poisson"
            )
        if pd.api.types.is_float_dtype(values) and any(value % 1 != 0 for value in classes):
            raise ValueError(
                f"response {name!r} holds {_short(classes[0])} and {_short(classes[1])}: classes for "
                f"{option} must be whole numbers, such as 0 and 1, or words"
            )
        # Words and numbers in one column have no order.
        return values.map(str) if len({type(value) for value in classes}) > 1 else values
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        held = (
            f"text, such as {values.iloc[0]!r}" if not pd.api.types.is_bool_dtype(values) else "truth values"
        )
        hint = ""
        if values.nunique() == 2:
            for_classes = [known for known in likelihood_names("selection") if registered(known).has_classes]
            hint = f"; --likelihood {' or '.join(for_classes)} is for two classes"
        raise ValueError(f"response {name!r} must hold numbers for {option}, it holds {held}{hint}")
    check_finite_column(name, values)
    y = torch.tensor(values.to_numpy(float))
    if terms is not None and terms.trials is not None:
        likelihood = likelihood.with_trials(torch.tensor(terms.trials))
    if terms is not None and terms.events is not None:
        y = torch.stack([y, torch.tensor(terms.events)], 1)
    for condition, wrong in likelihood.violations(y):
        if wrong.any():
            first = values[wrong.reshape(len(y), -1).any(1).numpy()]
            raise ValueError(
                f"response {name!r} must {condition} for {option}: {first.iloc[0]:g} in "
                f"{data_row(first.index, 0)}, and so in {rows_of(len(first))}. Correct such rows or leave "
                "them out, or name another --likelihood"
            )
    if values.nunique() == 1:
        raise ValueError(f"response {name!r} is constant: {values.iloc[0]:g} in all {rows_of(len(values))}")
    return values.astype(float)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)
