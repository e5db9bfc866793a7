r"""Offsets, exposures and trials of the rows of another table, by the columns that had them in the fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from l0bayes.apps.select.table_checks import data_row, rows_of
from l0bayes.estimators.input_tables import Array

__all__ = ["row_terms"]

# What is needed for predictions, and what its numbers must be; weights and events are of the fit alone.
_NEEDED = {
    "offset": "finite numbers",
    "exposure": "positive numbers",
    "trials": "whole numbers, not negative",
}


def row_terms(columns: Mapping[str, str], table: Any) -> dict[str, Array]:
    """``offset`` and ``trials`` of each row, where the fit had them; an exposure is an offset, its logarithm.

    Args:
        columns: Name of the column by what it holds.
        table: The table.

    Raises:
        ValueError: If the table lacks such a column, or a cell is not what it must be, by row.
    """
    import pandas as pd

    found: dict[str, Array] = {}
    for kind, name in columns.items():
        if kind not in _NEEDED:
            continue
        places = {str(label): label for label in table.columns}
        if name not in places:
            raise ValueError(
                f"the table lacks the column {name!r}, which was --{kind} in the fit: predictions need it"
            )
        cells = pd.Series(np.asarray(table[places[name]], dtype=object))
        values = pd.to_numeric(cells, errors="coerce").to_numpy(float)
        good = np.isfinite(values)
        if kind == "exposure":
            good &= values > 0
        elif kind == "trials":
            good &= (values >= 0) & (values % 1 == 0)
        if not good.all():
            place, count = int((~good).argmax()), rows_of(int((~good).sum()))
            raise ValueError(
                f"column {name!r} must hold {_NEEDED[kind]} (--{kind}); it holds {cells.iloc[place]!r} in "
                f"{data_row(pd.RangeIndex(len(cells)), place)}, and such cells in {count}"
            )
        found["trials" if kind == "trials" else "offset"] = np.log(values) if kind == "exposure" else values
    return found
