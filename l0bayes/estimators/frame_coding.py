r"""Columns of a data frame as numbers: those of text and categories by a column for each level."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.text_kinds import meant_as
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.user_warnings import warn_user

__all__ = ["Factor", "FrameCoding", "UnseenLevelWarning", "indicators"]

# Text with more levels than this, and than a third of the rows, is a name and no factor.
_FEW_LEVELS = 20


class UnseenLevelWarning(UserWarning):
    """Predictions for a level that no row had: they are those of the mean of the other levels."""


@dataclass(frozen=True)
class Factor:
    """Levels of a column.

    Attributes:
        name: Name of the column.
        levels: Levels that rows had, in order.
        unseen: Levels that the column declares, or has in rows that do not count.
        takes_new: Whether other text is a level that was not seen, too.
    """

    name: str
    levels: tuple[Any, ...]
    unseen: tuple[Any, ...] = ()
    takes_new: bool = False

    def code(self, values: Any, *, fitting: bool = False) -> Array:
        """A column of zeros and ones for each level, shape ``(n, L)``; zeros only for what was not seen.

        Args:
            values: The column.
            fitting: Whether these are the rows of the fit; elsewhere levels that were not seen are warned of.

        Raises:
            ValueError: If it holds a level that is neither known nor declared, or something is missing.
        """
        cells = _cells(values, self.name)
        index = {level: number for number, level in enumerate(self.levels)}
        unseen: set[Any] = set()
        for row, cell in enumerate(cells):
            if cell in index:
                continue
            if cell not in self.unseen and not (self.takes_new and isinstance(cell, str | bytes)):
                known = ", ".join(map(repr, self.levels[:8])) + (", ..." if len(self.levels) > 8 else "")
                raise ValueError(
                    f"X holds {cell!r} in column {self.name!r}, row {row}: a level that no row had in fit, "
                    f"which saw {known}. Declare levels that are to come: pd.Categorical(..., categories=...)"
                    "; score(X, y) takes text that is new at the mean of the others"
                )
            unseen.add(cell)
        if unseen and not fitting:
            warn_user(
                f"no row of level {', '.join(sorted(map(repr, unseen)))} of column {self.name!r} was seen in "
                "fit: predictions are those of the mean of its other levels",
                UnseenLevelWarning,
            )
        return indicators([index.get(cell, -1) for cell in cells], len(self.levels))


def indicators(codes: Sequence[int], count: int) -> Array:
    """Zeros and ones, shape ``(n, count)``.

    Args:
        codes: Number of each row's level; -1 for none.
        count: Number of levels.
    """
    numbers = np.asarray(codes)
    table: Array = (numbers[:, None] == np.arange(count)).astype(np.float64)
    return table


@dataclass(frozen=True)
class FrameCoding:
    """How the columns of a frame became numbers.

    Attributes:
        names: Names of its columns.
        factors: The factors among them, by their number.
    """

    names: list[str]
    factors: dict[int, Factor] = field(default_factory=dict)

    @classmethod
    def learn(cls, frame: Any, used: Any) -> FrameCoding:
        """Tell factors from numbers.

        Columns of text, and those that are declared as categories, are factors. Levels of text are in
        alphabetical order, others as declared, and no result depends on it.

        Args:
            frame: A frame of pandas or polars.
            used: Which rows count, shape ``(n,)``.

        Raises:
            ValueError: If a column holds text among numbers or a name in each row, or something is missing
                in a factor.
        """
        names = list(frame.columns)
        found = {}
        for number, name in enumerate(names):
            factor = _factor_of(frame[name], str(name), used)
            if factor is not None:
                found[number] = factor
        return cls([str(name) for name in names], found)

    def encode(self, frame: Any, *, fitting: bool = False) -> Array:
        """The numbers of a frame with the same columns, shape ``(n, p)``.

        Args:
            frame: The frame.
            fitting: Whether it is that of the fit.

        Raises:
            ValueError: If a factor has a level that is not known, or another column holds no numbers.
        """
        parts = []
        for number, name in enumerate(frame.columns):
            factor = self.factors.get(number)
            if factor is not None:
                parts.append(factor.code(frame[name], fitting=fitting))
                continue
            try:
                parts.append(np.asarray(frame[name], dtype=np.float64)[:, None])
            except (TypeError, ValueError):
                raise ValueError(
                    f"X holds no numbers in column {str(name)!r}, where fit saw numbers"
                ) from None
        return np.concatenate(parts, 1)

    def with_new_levels(self) -> FrameCoding:
        """The same, for which text that is new is a level that was not seen."""
        return replace(
            self, factors={number: replace(one, takes_new=True) for number, one in self.factors.items()}
        )

    @property
    def columns(self) -> list[str]:
        """Names of the columns of numbers: ``age``, ``region[north]``, ``region[south]``."""
        return [
            name if factor is None else f"{name}[{level}]"
            for name, factor in ((name, self.factors.get(number)) for number, name in enumerate(self.names))
            for level in ([None] if factor is None else factor.levels)
        ]

    @property
    def sources(self) -> list[int]:
        """The column of the frame that each column of numbers comes from."""
        return [
            number
            for number in range(len(self.names))
            for _ in range(len(self.factors[number].levels) if number in self.factors else 1)
        ]

    def blocks(self, *, contrasts: bool) -> tuple[LevelBlock, ...]:
        """Columns that stand for levels.

        Args:
            contrasts: Whether columns are centred, beside an intercept.
        """
        sources = self.sources
        return tuple(
            LevelBlock(
                tuple(column for column, source in enumerate(sources) if source == number),
                (len(factor.levels),),
                (contrasts,),
            )
            for number, factor in self.factors.items()
            if len(factor.levels) > 1
        )


def _factor_of(column: Any, name: str, used: Any) -> Factor | None:
    declared = _declared(column)
    if declared is None and np.asarray(column[:0]).dtype.kind not in "OUST":
        return None
    cells = np.asarray(column, dtype=object)
    texts = [row for row, cell in enumerate(cells) if isinstance(cell, str | bytes)]
    if declared is None and not texts:
        return None
    cells = np.asarray(_cells(column, name), dtype=object)
    if declared is None and len(texts) < len(cells):
        raise ValueError(
            f"X holds text in column {name!r}, {cells[texts[0]]!r} in row {texts[0]}, among numbers: take "
            "the text out, or make all of it text for a factor"
        )
    seen = set(cells[used].tolist())
    if declared is not None:
        levels = [level for level in declared if level in seen]
        return Factor(name, tuple(levels), tuple(level for level in declared if level not in seen))
    kind = meant_as(seen, codes=True)
    if kind is None and all(_is_whole(cell) for cell in seen):
        kind = "numbers"
    if len(seen) > max(_FEW_LEVELS, int(used.sum()) // 3):
        raise ValueError(
            f"X holds text in column {name!r}, with {len(seen)} different values in {int(used.sum())} rows: "
            f"too many for a factor{'; it looks like ' + kind if kind else ''}. Make it numbers, drop it, or "
            "make it pd.Categorical if you mean it"
        )
    if kind is not None:
        warn_user(
            f"X holds text in column {name!r} that looks like {kind}, such as {cells[0]!r}, and is taken as "
            f"a factor of {len(seen)} levels: turn it into numbers, or make it pd.Categorical if it is one",
            UserWarning,
        )
    return Factor(name, tuple(sorted(seen)), tuple(sorted(set(cells.tolist()) - seen)))


def _is_whole(cell: Any) -> bool:
    """Whether text is a whole number of few digits; a zip code or another name of digits is none."""
    text = cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
    return re.fullmatch(r"0|[1-9]\d{0,2}", text.strip()) is not None


def _declared(column: Any) -> list[Any] | None:
    """Levels that a column declares: categories of pandas, an Enum of polars."""
    categories = getattr(column.dtype, "categories", None)
    try:
        return None if categories is None else list(categories)
    except TypeError:
        return None


def _cells(column: Any, name: str) -> list[Any]:
    import pandas as pd

    cells = np.asarray(column, dtype=object)
    missing = np.flatnonzero(pd.isna(cells))
    if len(missing):
        raise ValueError(
            f"X holds NaN in column {name!r}, first in row {missing[0]} ({len(missing)} such rows): a "
            "missing level; drop or impute them first"
        )
    values: list[Any] = cells.tolist()
    return values
