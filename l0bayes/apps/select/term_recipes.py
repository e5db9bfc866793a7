r"""How the terms of a formula are made of other rows, with what they learned from those of the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

__all__ = ["FactorRecipe", "TermRecipe", "numeric_state", "plain_state"]


@dataclass(frozen=True)
class FactorRecipe:
    """A factor of a term.

    Attributes:
        expression: What is evaluated, with stand-ins for columns.
        lookup: Whether that is a column by itself.
        names: Names of its columns.
        levels: Its levels, in the order of these; ``None`` where it is numbers.
        learned: What its functions learned from the rows, such as the knots of a spline.
        encoded: Whether its numbers stand for text, as those of ``hashed()`` do.
    """

    expression: str
    lookup: bool
    names: list[str]
    levels: list[Any] | None
    learned: dict[str, Any] = field(default_factory=dict)
    encoded: bool = False

    def state(self) -> dict[str, Any]:
        """Its parts by name."""
        return asdict(self)

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Self:
        """From what :meth:`state` gave.

        Args:
            state: The state.
        """
        return cls(**state)


@dataclass(frozen=True)
class TermRecipe:
    """A term.

    Attributes:
        factors: Its factors as in the formula, with stand-ins for columns.
        means: What is taken off the columns of each before they are multiplied, if anything.
        columns: Names of the columns that it has.
    """

    factors: list[str]
    means: list[list[float] | None]
    columns: list[str]

    def state(self) -> dict[str, Any]:
        """Its parts by name."""
        return asdict(self)

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Self:
        """From what :meth:`state` gave.

        Args:
            state: The state.
        """
        return cls(**state)


def plain_state(value: Any) -> Any:
    """What a transform learned, without NumPy's types.

    Args:
        value: Dictionaries, lists, arrays and numbers.
    """
    if isinstance(value, Mapping):
        return {plain_state(key): plain_state(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_state(one) for one in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def numeric_state(value: Any) -> Any:
    """What :func:`plain_state` gave, lists of numbers as the arrays that transforms take.

    Args:
        value: Dictionaries, lists and numbers.
    """
    if isinstance(value, Mapping):
        return {key: numeric_state(one) for key, one in value.items()}
    return np.array(value, dtype=np.float64) if isinstance(value, list) else value
