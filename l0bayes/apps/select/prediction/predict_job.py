r"""Predictions for the rows of a file, from the folder of a selection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l0bayes import validate
from l0bayes.apps.select.prediction.formula_coding import FormulaCoding
from l0bayes.apps.select.table_files import load_table, text_of_columns
from l0bayes.estimators.kept.predictor import ESTIMATORS
from l0bayes.estimators.kept.saved_selection import SavedSelection
from l0bayes.estimators.kept.table_coding import check_filling

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["predict_table"]


def predict_table(
    saved: SavedSelection,
    path: str | Path,
    *,
    interval: float | None = 0.9,
    estimator: str = "average",
    fill: str = "refuse",
    unseen: str = "refuse",
    na: Sequence[str] | None = None,
) -> pd.DataFrame:
    """A table of predictions, one row for each of a file's.

    Args:
        saved: The selection, from the folder that ``l0bayes select`` wrote.
        path: A CSV, Parquet or Feather file, read as ``l0bayes select`` reads one.
        interval: Probability of the intervals; ``None`` for none.
        estimator: ``"average"``, ``"median"`` or ``"best"``.
        fill: ``"refuse"`` missing columns and cells, or take the ``"mean"`` of the fit.
        unseen: ``"refuse"`` levels that no row of the fit had, or predict the ``"mean"`` of the levels.
        na: Words that mean missing; those that did in the fit, if ``None``.

    Returns:
        The columns ``mean``, ``low`` and ``high``; for classes ``class``, and of each class
        ``probability[...]``, ``low[...]`` and ``high[...]``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file lacks a column, a cell or a level was not seen where that is refused, or a
            word or number is out of range.
    """
    import pandas as pd

    validate.one_of(ESTIMATORS, estimator=estimator)
    check_filling(fill, unseen)
    if interval is not None:
        validate.inside("(0, 1)", interval=interval)
    coding = saved.coding
    if not isinstance(coding, FormulaCoding):
        raise ValueError("the selection was not written by l0bayes select, and holds no formula: use predict")
    words = coding.na if na is None else na
    file = load_table(path, words, aim="predict")
    for name in coding.aliases:
        if name in file.refused:
            raise ValueError(file.refused[name])
    table = file.table
    numbers = [
        name for name in coding.text_columns if name in table and pd.api.types.is_numeric_dtype(table[name])
    ]
    # What was text in the fit is text here, "01" too.
    written = text_of_columns(path, numbers)
    table = table.assign(**{name: cells.where(table[name].notna()) for name, cells in written.items()})
    if saved.classes_ is None:
        found = saved.predict(table, estimator=estimator, interval=interval, fill=fill, unseen=unseen)
        return pd.DataFrame({"mean": found} if interval is None else found._asdict())
    found = saved.predict_proba(table, estimator=estimator, interval=interval, fill=fill, unseen=unseen)
    return _of_classes(saved.classes_, found, interval)


def _of_classes(classes: Any, found: Any, interval: float | None) -> pd.DataFrame:
    import pandas as pd

    means = found if interval is None else found.mean
    columns: dict[str, Any] = {"class": classes[(means[:, 1] > 0.5).astype(int)]}
    for place, name in enumerate(classes):
        columns[f"probability[{name}]"] = means[:, place]
        if interval is not None:
            columns[f"low[{name}]"], columns[f"high[{name}]"] = found.low[:, place], found.high[:, place]
    return pd.DataFrame(columns)
