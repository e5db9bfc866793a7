r"""From a table that a user gives to the columns of numbers that predictions are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from l0bayes import validate
from l0bayes.estimators.frame_coding import Factor, FrameCoding
from l0bayes.estimators.input_tables import Array, is_frame, refuse_not_finite, refuse_table
from l0bayes.user_warnings import warn_user

__all__ = [
    "FILLS",
    "UNSEEN",
    "FrameTableCoding",
    "TableCoding",
    "check_filling",
    "plain_levels",
    "warn_of_filled",
]

FILLS = ("refuse", "mean")
"""What is done about missing columns and cells: refused by name, or filled with the mean of the fit."""
UNSEEN = ("refuse", "mean")
"""What is done about a level that no row of the fit had: refused by name, or the mean of the levels."""


def check_filling(fill: Any, unseen: Any) -> None:
    """Refuse other words.

    Args:
        fill: One of :data:`FILLS`.
        unseen: One of :data:`UNSEEN`.

    Raises:
        ValueError: If they are none.
    """
    validate.one_of(FILLS, fill=fill)
    validate.one_of(UNSEEN, unseen=unseen)


class TableCoding(ABC):
    """How the columns of a table become numbers, as in the fit.

    Attributes:
        kind: By which it is found again in a file.
    """

    kind: ClassVar[str]

    @abstractmethod
    def encode(self, table: Any, *, fill: str = "refuse", unseen: str = "refuse") -> Array:
        """The numbers, shape ``(n, p)``. Columns may come in any order, and there may be others.

        Args:
            table: The table.
            fill: One of :data:`FILLS`.
            unseen: One of :data:`UNSEEN`.

        Raises:
            ValueError: If a column or a cell is missing, or a level was not seen, by name, where that is
                refused; or a column is of another kind.
        """

    def row_terms(self, table: Any) -> dict[str, Array]:
        """What predictions need of each row beside columns: ``offset``, ``trials``, each of shape ``(n,)``.

        Args:
            table: The table.

        Raises:
            ValueError: If the table lacks it, or it is not what it must be.
        """
        return {}

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What it is made of, as plain values."""

    @classmethod
    @abstractmethod
    def of_state(cls, state: Mapping[str, Any]) -> Self:
        """From what :meth:`state` gave.

        Args:
            state: The state.
        """


@dataclass(frozen=True)
class FrameTableCoding(TableCoding):
    """That of an estimator's X: an array, or a frame by the names of its columns.

    Args:
        coding: How its columns became numbers.
        means: Mean of each column of numbers in the fit, shape ``(p,)``.
    """

    kind: ClassVar[str] = "frame"

    coding: FrameCoding
    means: tuple[float, ...]

    def encode(self, table: Any, *, fill: str = "refuse", unseen: str = "refuse") -> Array:
        check_filling(fill, unseen)
        refuse_table(table)
        if is_frame(table):
            return self._of_frame(table, fill, unseen)
        if self.coding.factors:
            raise ValueError(
                f"X must be a frame with the columns {_listed(self.coding.names)}, as in fit: it has factors"
            )
        values = np.asarray(table, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.coding.names):
            raise ValueError(
                f"X must have {len(self.coding.names)} columns, {_listed(self.coding.names)}; got the shape "
                f"{values.shape}"
            )
        return self._filled(values, fill)

    def _of_frame(self, frame: Any, fill: str, unseen: str) -> Array:
        import pandas as pd

        places = {str(label): label for label in frame.columns}
        missing = [name for name in self.coding.names if name not in places]
        if missing and fill == "refuse":
            raise ValueError(
                f"X lacks {'a column' if len(missing) == 1 else 'columns'} that fit had: {_listed(missing)}; "
                f"it has {_listed(list(places))}. fill='mean' takes the mean of the fit"
            )
        if missing:
            warn_user(f"X lacks {_listed(missing)}: predictions are those at the mean of the fit")
        parts = []
        for number, name in enumerate(self.coding.names):
            factor = self.coding.factors.get(number)
            if factor is not None:
                column = frame[places[name]] if name in places else [None] * len(frame)
                parts.append(_levels(factor, column, fill, unseen, name in missing))
                continue
            try:
                cells = np.full(len(frame), np.nan) if name in missing else frame[places[name]]
                numbers = pd.to_numeric(pd.Series(np.asarray(cells)), errors="raise")
                parts.append(numbers.to_numpy(np.float64, na_value=np.nan)[:, None])
            except (TypeError, ValueError):
                raise ValueError(f"X holds no numbers in column {name!r}, where fit saw numbers") from None
        return self._filled(np.concatenate(parts, 1), fill, missing)

    def _filled(self, values: Array, fill: str, told: Sequence[str] = ()) -> Array:
        if fill == "mean":
            gaps = dict(zip(self.coding.columns, np.isnan(values).sum(0).tolist(), strict=True))
            warn_of_filled({name: count for name, count in gaps.items() if count and name not in told})
            values = np.where(np.isnan(values), np.asarray(self.means), values)
        refuse_not_finite(values, self.coding.columns)
        return values

    def state(self) -> dict[str, Any]:
        factors = [
            {
                "number": number,
                "name": factor.name,
                "levels": plain_levels(factor.levels),
                "unseen": plain_levels(factor.unseen),
                "takes_new": factor.takes_new,
            }
            for number, factor in self.coding.factors.items()
        ]
        return {"names": list(self.coding.names), "factors": factors, "means": list(self.means)}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Self:
        factors = {
            one["number"]: Factor(one["name"], tuple(one["levels"]), tuple(one["unseen"]), one["takes_new"])
            for one in state["factors"]
        }
        return cls(FrameCoding(list(state["names"]), factors), tuple(state["means"]))


def _levels(factor: Factor, column: Any, fill: str, unseen: str, lacking: bool = False) -> Array:
    """A column for each level; zeros, the mean of the levels, for what was not seen or is missing."""
    import pandas as pd

    cells = np.asarray(column, dtype=object).copy()
    gaps = pd.isna(cells)
    if fill == "mean" and gaps.any():
        if not gaps.all() or not lacking:
            warn_of_filled({factor.name: int(gaps.sum())})
        codes = np.zeros((len(cells), len(factor.levels)))
        codes[~gaps] = _levels(factor, cells[~gaps], "refuse", unseen) if not gaps.all() else 0.0
        return codes
    if unseen == "mean":
        known = {*factor.levels, *factor.unseen}
        new = tuple(dict.fromkeys(cell for cell in cells[~gaps].tolist() if cell not in known))
        factor = Factor(factor.name, factor.levels, (*factor.unseen, *new), factor.takes_new)
    return factor.code(cells)


def warn_of_filled(cells: Mapping[str, int]) -> None:
    """Warn of missing cells that are taken to be at the mean of the fit.

    Args:
        cells: Their number in each column that has some.
    """
    if cells:
        named = ", ".join(
            f"{name!r} in {count} row{'s' if count > 1 else ''}" for name, count in cells.items()
        )
        warn_user(f"values are missing: {named}. Predictions there are those at the mean of the fit")


def plain_levels(levels: Sequence[Any]) -> list[Any]:
    """Levels as values that a file can hold.

    Args:
        levels: The levels.
    """
    return [level.item() if isinstance(level, np.generic) else level for level in levels]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
