r"""What is known of rows before their responses are seen."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from l0bayes.estimators.input_tables import ConstantColumnWarning
from l0bayes.user_warnings import warn_user

__all__ = ["constant_columns_only", "refuse_plans"]

_OF = {"trials": "SpikeSlabBinomial", "censored": "SpikeSlabCox"}


def refuse_plans(estimator: str, **given: Any) -> None:
    """Refuse what is known of rows that other estimators take.

    Args:
        estimator: Name of the estimator.
        **given: What was given, by name; ``None`` where nothing was.

    Raises:
        ValueError: If something was.
    """
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} is of {_OF[name]}; got {value!r} for {estimator}")


@contextmanager
def constant_columns_only() -> Iterator[None]:
    """Warnings within are of constant columns, or not given."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for one in caught:
        if issubclass(one.category, ConstantColumnWarning):
            warn_user(str(one.message), ConstantColumnWarning)
