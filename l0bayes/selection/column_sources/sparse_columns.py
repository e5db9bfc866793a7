"""Columns of a SciPy sparse matrix."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from l0bayes.selection.column_sources.column_source import ColumnSource

__all__ = ["SparseColumns"]


class SparseColumns(ColumnSource):
    """Columns of a sparse matrix, made dense a block at a time.

    Args:
        values: A SciPy sparse matrix or array, shape ``(n, p)``; other formats than CSC are converted.
    """

    what = "a SciPy sparse matrix"

    def __init__(self, values: Any) -> None:
        self._values = values.tocsc()
        self.num_rows, self.num_columns = values.shape
        exact = np.can_cast(values.dtype, np.float32)
        self.precision = torch.float32 if exact else torch.float64
        self._kind: Any = np.float32 if exact else np.float64

    @classmethod
    def reads(cls, table: Any) -> bool:
        import scipy.sparse

        return bool(scipy.sparse.issparse(table))

    @classmethod
    def of(cls, table: Any) -> Self:
        return cls(table)

    def block(self, first: int, last: int) -> Tensor:
        return torch.from_numpy(self._values[:, first:last].astype(self._kind).toarray(order="C"))

    def gather(self, columns: Tensor) -> Tensor:
        return torch.from_numpy(self._values[:, columns.numpy()].astype(np.float64).toarray(order="C"))
