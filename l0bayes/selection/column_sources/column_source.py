r"""The contract of a table whose columns are read a block at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

__all__ = ["ColumnMoments", "ColumnSource"]

# Numbers in a block that is in memory at a time: 16 MB in single precision.
_BLOCK_NUMBERS = 4_000_000
_MOST_COLUMNS = 16_384


@dataclass(frozen=True)
class ColumnMoments:
    """Weighted moments of all columns.

    Attributes:
        mean: Means, shape ``(p,)``.
        variance: Mean squares about the mean, shape ``(p,)``.
    """

    mean: Tensor
    variance: Tensor


class ColumnSource(ABC):
    """Columns that stay where and as they are: in memory of any type, in a file, sparse.

    A new kind is a class of this with :meth:`reads`, :meth:`of`, :meth:`block` and :meth:`gather`, made known
    by :func:`~l0bayes.selection.column_sources.any_source.register_source`.

    Attributes:
        what: What it reads, for messages.
        num_rows: Number of rows n.
        num_columns: Number of columns p.
        precision: Type of floating-point numbers in which blocks come: single precision where nothing in the
            table has more digits.
        names: Names of the columns; ``None`` if they have none.
    """

    what: ClassVar[str]
    num_rows: int
    num_columns: int
    precision: torch.dtype
    names: Sequence[str] | None = None

    @classmethod
    @abstractmethod
    def reads(cls, table: Any) -> bool:
        """Whether it can read a table.

        Args:
            table: Whatever a user gave.
        """

    @classmethod
    @abstractmethod
    def of(cls, table: Any) -> Self:
        """The source of a table that it can read.

        Args:
            table: The table, with two dimensions.

        Raises:
            ValueError: If the table is not what it says it is.
        """

    @abstractmethod
    def block(self, first: int, last: int) -> Tensor:
        """Columns from one up to another, which is left out, shape ``(n, last - first)``; a new tensor.

        Args:
            first: The first.
            last: The one after the last.
        """

    @abstractmethod
    def gather(self, columns: Tensor) -> Tensor:
        """Some columns in the order given, in double precision, shape ``(n, k)``.

        Args:
            columns: Their numbers, shape ``(k,)``.
        """

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """All columns, a block at a time, each with the number of its first column."""
        size = max(1, min(_MOST_COLUMNS, _BLOCK_NUMBERS // self.num_rows))
        for first in range(0, self.num_columns, size):
            yield first, self.block(first, min(first + size, self.num_columns))

    def column_name(self, column: int) -> str:
        """What a column is called.

        Args:
            column: Its number.
        """
        return f"x{column}" if self.names is None else str(self.names[column])

    def moments(self, weights: Tensor) -> ColumnMoments:
        """Weighted means and variances of all columns, in one pass.

        Args:
            weights: Weights of the rows, shape ``(n,)``.

        Raises:
            ValueError: If a number is not finite, by the name of the column.
        """
        share = weights / weights.sum()
        mean, variance = (torch.empty(self.num_columns, dtype=torch.float64) for _ in range(2))
        for first, block in self.blocks():
            values = block.to(torch.float64)
            last = first + values.shape[1]
            middle = share @ values
            if not bool(torch.isfinite(middle).all()):
                column = first + int((~torch.isfinite(middle)).double().argmax())
                raise ValueError(
                    f"column {self.column_name(column)!r} holds numbers that are missing or not finite: fill "
                    "them, or leave out the column"
                )
            mean[first:last] = middle
            variance[first:last] = share @ values.sub_(middle).square_()
        return ColumnMoments(mean, variance)
