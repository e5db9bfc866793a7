"""Some of the rows of another source."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor

from l0bayes.selection.column_sources.column_source import ColumnSource

__all__ = ["ChosenRows"]


class ChosenRows(ColumnSource):
    """Some rows of a source, chosen block by block.

    Args:
        source: The source.
        rows: Numbers of the rows, shape ``(m,)``.
    """

    what = "rows of another source"

    def __init__(self, source: ColumnSource, rows: Tensor) -> None:
        self._source, self._rows = source, rows
        self.num_rows, self.num_columns = len(rows), source.num_columns
        self.precision, self.names = source.precision, source.names

    @classmethod
    def reads(cls, table: Any) -> bool:
        return False

    @classmethod
    def of(cls, table: Any) -> Self:
        raise TypeError("rows are chosen of a source: ChosenRows(source, rows)")

    def block(self, first: int, last: int) -> Tensor:
        return self._source.block(first, last)[self._rows]

    def gather(self, columns: Tensor) -> Tensor:
        return self._source.gather(columns)[self._rows]
