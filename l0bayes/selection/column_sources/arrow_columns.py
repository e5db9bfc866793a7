"""Columns of an Arrow table or a Parquet file, read by column."""

from __future__ import annotations

import sys
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from l0bayes.selection.column_sources.column_source import ColumnSource

__all__ = ["ArrowColumns"]

_FEW_DIGITS = ("int8", "uint8", "int16", "halffloat", "float")
_NUMBERS = (*_FEW_DIGITS, "double", "int32", "int64", "uint16", "uint32", "uint64")


class ArrowColumns(ColumnSource):
    """Columns of a ``pyarrow.Table``, or of a ``pyarrow.parquet.ParquetFile`` that is read by column.

    Args:
        table: The table or file. All columns must be numbers.
        without: Name of a column that is left out, such as the response.

    Raises:
        ValueError: If a column is not of numbers, by its name.
    """

    what = "an Arrow table or Parquet file"

    def __init__(self, table: Any, without: str | None = None) -> None:
        every = table.schema_arrow if _is_file(table) else table.schema
        schema = [field for field in every if field.name != without]
        self._table = table
        for field in schema:
            if str(field.type) not in _NUMBERS:
                raise ValueError(f"column {field.name!r} is of {field.type}, and must hold numbers")
        self.names = [field.name for field in schema]
        self.num_columns = len(self.names)
        self.num_rows = table.metadata.num_rows if _is_file(table) else table.num_rows
        few = all(str(field.type) in _FEW_DIGITS for field in schema)
        self.precision = torch.float32 if few else torch.float64
        self._kind: Any = np.float32 if few else np.float64

    @classmethod
    def reads(cls, table: Any) -> bool:
        arrow = sys.modules.get("pyarrow")  # whoever has such a table has imported it
        return arrow is not None and (isinstance(table, arrow.Table) or _is_file(table))

    @classmethod
    def of(cls, table: Any) -> Self:
        return cls(table)

    def block(self, first: int, last: int) -> Tensor:
        return self._read(range(first, last), self._kind)

    def gather(self, columns: Tensor) -> Tensor:
        return self._read(columns.tolist(), np.float64)

    def _read(self, columns: Any, kind: Any) -> Tensor:
        known: Any = self.names
        names = [known[column] for column in columns]
        table = self._table.read(columns=sorted(set(names))) if _is_file(self._table) else self._table
        values = np.empty((self.num_rows, len(names)), dtype=kind)
        for place, name in enumerate(names):
            column = table.column(name)
            if column.null_count:
                raise ValueError(f"column {name!r} has missing values: fill them, or leave out the column")
            values[:, place] = column.to_numpy()
        return torch.from_numpy(values)


def _is_file(table: Any) -> bool:
    parquet = sys.modules.get("pyarrow.parquet")
    return parquet is not None and isinstance(table, parquet.ParquetFile)
