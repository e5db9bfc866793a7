r"""Columns as the engines take them, with what they are called and which of them belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from l0bayes.estimators.input_tables import Array
from l0bayes.selection.problem.level_block import LevelBlock

__all__ = ["CodedTable"]


@dataclass(frozen=True)
class CodedTable:
    """A table of numbers in which factors are columns of levels already.

    Attributes:
        values: Columns, shape ``(n, p)``.
        names: Name of each.
        groups: Gate of each, ``0 ... G-1``, shape ``(p,)``.
        gate_names: Name of each gate.
        blocks: Columns that stand for levels, with one scale for all of a block.
        row_name: What a row is called in a message, by its place; by default its place among these rows.
        monomials: Of every gate the variables that are multiplied in it, with their powers; ``None`` where
            its name says it.
    """

    values: Array
    names: list[str]
    groups: Tensor
    gate_names: list[str]
    blocks: tuple[LevelBlock, ...] = ()
    row_name: Callable[[int], str] = "row {}".format
    monomials: tuple[Mapping[str, int], ...] | None = None

    def of_rows(self, rows: Any) -> CodedTable:
        """The same columns in some rows.

        Args:
            rows: Places of the rows.
        """
        name = self.row_name
        return replace(self, values=self.values[rows], row_name=lambda place: name(int(rows[place])))
