"""From whatever a user has to a source of columns, and from files."""

from __future__ import annotations

from typing import Any

from l0bayes.selection.column_sources.arrow_columns import ArrowColumns
from l0bayes.selection.column_sources.column_source import ColumnSource
from l0bayes.selection.column_sources.numpy_columns import NumpyColumns
from l0bayes.selection.column_sources.sparse_columns import SparseColumns
from l0bayes.selection.column_sources.tensor_columns import TensorColumns

__all__ = ["column_source", "reads_columns", "register_source"]

_SOURCES: list[type[ColumnSource]] = [TensorColumns, NumpyColumns, ArrowColumns, SparseColumns]


def register_source(kind: type[ColumnSource]) -> None:
    """Make a kind of table readable; it is asked before those of the package.

    Args:
        kind: The class.

    Raises:
        TypeError: If it is no class of :class:`~l0bayes.selection.column_sources.column_source.ColumnSource`.
    """
    if not (isinstance(kind, type) and issubclass(kind, ColumnSource)):
        raise TypeError(f"kind must be a class of ColumnSource, got {kind!r}")
    _SOURCES.insert(0, kind)


def reads_columns(table: Any) -> bool:
    """Whether a table can be read by columns as it is.

    Args:
        table: Whatever a user gave.
    """
    return isinstance(table, ColumnSource) or any(kind.reads(table) for kind in _SOURCES)


def column_source(table: Any) -> ColumnSource:
    """The source of a table: a source itself, or of a kind that is registered.

    Args:
        table: The table.

    Raises:
        TypeError: If no source reads it.
        ValueError: If it has not two dimensions, no rows or no columns, or is not what it says it is.
    """
    if isinstance(table, ColumnSource):
        return table
    for kind in _SOURCES:
        if kind.reads(table):
            shape = table.shape if len(getattr(table, "shape", (1, 1))) != 2 else None
            if shape is not None:
                raise ValueError(
                    f"X must have two dimensions, rows and columns; got the shape {tuple(shape)}"
                )
            source = kind.of(table)
            if source.num_rows < 1 or source.num_columns < 1:
                raise ValueError("X must have at least one row and one column")
            return source
    known = ", ".join(kind.what for kind in _SOURCES)
    raise TypeError(f"{type(table).__name__} cannot be read by columns; what can: {known}")
