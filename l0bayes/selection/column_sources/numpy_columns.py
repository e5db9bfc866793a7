"""Columns of a NumPy array, in memory or mapped from a file."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from l0bayes.selection.column_sources.column_source import ColumnSource

__all__ = ["NumpyColumns"]


class NumpyColumns(ColumnSource):
    """Columns of an array of numbers; of a memory map only the parts that are read are in memory.

    Args:
        values: The array, shape ``(n, p)``.
    """

    what = "a NumPy array or memory map"

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self._values = values
        self.num_rows, self.num_columns = values.shape
        exact = np.can_cast(values.dtype, np.float32)
        self.precision = torch.float32 if exact else torch.float64
        self._kind: Any = np.float32 if exact else np.float64

    @classmethod
    def reads(cls, table: Any) -> bool:
        return isinstance(table, np.ndarray) and table.dtype.kind in "biuf"

    @classmethod
    def of(cls, table: Any) -> Self:
        if isinstance(table, np.memmap):
            _check_size(table)
        return cls(table)

    def block(self, first: int, last: int) -> Tensor:
        return torch.from_numpy(np.array(self._values[:, first:last], dtype=self._kind, order="C"))

    def gather(self, columns: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(self._values[:, columns.numpy()], dtype=np.float64))


def _check_size(table: np.memmap[Any, Any]) -> None:
    """A file that has become shorter would end the program; one that is longer is another table."""
    # Of a view it is not known which part of the file it should be.
    if not isinstance(table.base, mmap.mmap) or table.filename is None:
        return
    path = Path(table.filename)
    held, wanted = path.stat().st_size - table.offset, table.nbytes
    if held != wanted:
        rows, columns = table.shape
        raise ValueError(
            f"the memory map {path.name} is of the wrong size: {rows} rows and {columns} columns of "
            f"{table.dtype} take {wanted} bytes, and the file holds {held} after its header. Give the shape "
            "and dtype with which it was written"
        )
