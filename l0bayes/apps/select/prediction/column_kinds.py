r"""Columns of another table as those of the fit were: numbers, truth values, text, categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from l0bayes.apps.select.table_cells import USUAL_WORDS
from l0bayes.apps.select.table_checks import data_row, plain_columns, rows_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ColumnKind"]


@dataclass(frozen=True)
class ColumnKind:
    """What a column of the table was in the fit.

    Attributes:
        name: Its name.
        kind: ``"number"``, ``"truth"``, ``"text"`` or ``"category"``.
        usual: The mean of its numbers, or its most frequent cell.
    """

    name: str
    kind: str
    usual: Any

    @classmethod
    def of(cls, name: str, values: pd.Series[Any], counts: npt.NDArray[np.float64] | None = None) -> Self:
        """That of a column without missing cells.

        Args:
            name: Its name.
            values: The column, as :func:`~l0bayes.apps.select.table_checks.plain_columns` gives it.
            counts: How many rows each row stands for; one if ``None``.
        """
        import pandas as pd

        many = np.ones(len(values)) if counts is None else counts
        frequent = pd.Series(many).groupby(values.to_numpy(object), sort=False).sum().idxmax()
        usual = frequent.item() if isinstance(frequent, np.generic) else frequent
        if isinstance(values.dtype, pd.CategoricalDtype):
            return cls(name, "category", usual)
        if pd.api.types.is_bool_dtype(values.dtype):
            return cls(name, "truth", bool(usual))
        if pd.api.types.is_numeric_dtype(values.dtype):
            return cls(name, "number", float(np.average(values, weights=many)))
        return cls(name, "text", usual)

    def state(self) -> dict[str, Any]:
        """Its parts by name."""
        return asdict(self)

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Self:
        """From what :meth:`state` gave.

        Args:
            state: The state.
        """
        return cls(**state)

    def read(self, values: pd.Series[Any]) -> pd.Series[Any]:
        """A column of another table as one of this kind, with what is missing as such.

        Args:
            values: The column.

        Raises:
            ValueError: If it is of another kind, by row.
        """
        import pandas as pd

        values = values.astype(object).mask(values.isna(), None)
        if self.kind in ("text", "category"):
            if self.kind == "text":
                values = values.map(_as_text, na_action="ignore")
            return values
        values = values.mask(values.isin(list(USUAL_WORDS)), None)
        if self.kind == "truth":
            truths = values.map(_TRUTHS.get, na_action="ignore")
            self._refuse(values, truths.isna() & values.notna(), "truth values")
            return truths
        numbers = pd.to_numeric(values, errors="coerce").astype(float)
        self._refuse(values, numbers.isna() & values.notna(), "numbers")
        infinite = pd.Series(np.isinf(numbers.to_numpy(float)), index=values.index)
        self._refuse(values, infinite, "finite numbers")
        return numbers

    def _refuse(self, values: pd.Series[Any], wrong: pd.Series[Any], held: str) -> None:
        if wrong.any():
            place = int(wrong.to_numpy().argmax())
            raise ValueError(
                f"column {self.name!r} must hold {held}, as in the fit; it holds {values.iloc[place]!r} in "
                f"{data_row(values.index, place)}, and such cells in {rows_of(int(wrong.sum()))}"
            )

    def filled(self, values: pd.Series[Any]) -> pd.Series[Any]:
        """A column without missing cells, of which :meth:`read` has made the kind.

        Args:
            values: The column.
        """
        import pandas as pd

        values = values.where(values.notna(), self.usual)
        if self.kind == "category":
            return pd.Series(pd.Categorical(values), index=values.index, name=values.name)
        if self.kind == "truth":
            return values.astype(bool)
        return (
            values.astype(float)
            if self.kind == "number"
            else plain_columns(values.to_frame(self.name), [self.name])[self.name]
        )


_TRUTHS = {True: True, False: False, "true": True, "false": False, "True": True, "False": False,
           "TRUE": True, "FALSE": False}  # fmt: skip


def _as_text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
