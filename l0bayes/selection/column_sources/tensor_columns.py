"""Columns of a torch tensor of any type."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from l0bayes.selection.column_sources.column_source import ColumnSource

__all__ = ["TensorColumns"]

_FEW_DIGITS = (torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16, torch.bool)


class TensorColumns(ColumnSource):
    """Columns of a torch tensor: float64, float32, bfloat16, int8 and others.

    Args:
        values: The tensor, shape ``(n, p)``.
    """

    what = "a torch tensor"

    def __init__(self, values: Tensor) -> None:
        self._values = values.detach()
        self.num_rows, self.num_columns = values.shape
        self.precision = torch.float32 if values.dtype in _FEW_DIGITS else torch.float64

    @classmethod
    def reads(cls, table: Any) -> bool:
        return isinstance(table, Tensor) and table.layout == torch.strided

    @classmethod
    def of(cls, table: Any) -> Self:
        return cls(table.cpu())

    def block(self, first: int, last: int) -> Tensor:
        return self._values[:, first:last].to(self.precision, copy=True)

    def gather(self, columns: Tensor) -> Tensor:
        return self._values[:, columns].to(torch.float64)
