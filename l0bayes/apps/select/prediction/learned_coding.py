r"""What a formula learned from a table, to be kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from l0bayes.apps.select.column_names import ColumnNames
from l0bayes.apps.select.prediction.column_kinds import ColumnKind
from l0bayes.apps.select.prediction.formula_coding import FormulaCoding
from l0bayes.apps.select.term_columns import TermColumns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["learned_coding"]


def learned_coding(
    response: str,
    table: pd.DataFrame,
    used: Sequence[str],
    known: ColumnNames,
    made: TermColumns,
    row_columns: Mapping[str, str],
    counts: npt.NDArray[np.float64] | None = None,
) -> FormulaCoding:
    """The coding of a formula, for other rows.

    Some rows are coded by it and compared with what they were in the whole table: an expression that differs
    depends on other rows, as ``I(x - x.mean())`` does.

    Args:
        response: Name of the response.
        table: The table, as the formula was evaluated over it.
        used: Its columns on the right of the formula.
        known: The names.
        made: What the formula made of it.
        row_columns: Columns that say something of each row, by what that is.
        counts: How many rows each row stands for, in the means that fill what is missing elsewhere.
    """
    coding = FormulaCoding(
        response=response,
        aliases={name: known.hide(name) for name in used},
        columns=[ColumnKind.of(name, table[name], counts) for name in used],
        factors=made.factors,
        terms=made.terms,
        of_all_rows=[],
        na=None,
        row_columns=dict(row_columns),
    )
    counted = np.arange(len(table)) if counts is None else np.flatnonzero(counts > 0)
    many = len(counted)
    places = counted[sorted({0, many // 3, many // 2, many - 1})]
    some = table[list(used)].iloc[places].rename(columns=known.hide)
    for expression, recipe in made.factors.items():
        if recipe.lookup:
            continue
        try:
            alone = coding.factor_columns(recipe, some, {}, known, "refuse")
        except ValueError:
            alone = np.full_like(made.values[expression][places], np.nan)
        whole = made.values[expression][places]
        if not np.allclose(alone, whole, rtol=1e-9, atol=1e-12 * max(1.0, float(np.abs(whole).max()))):
            coding.of_all_rows.append(known.type_in(expression))
    return coding
