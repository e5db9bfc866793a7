r"""Columns of a term from those of its factors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Part", "products"]


@dataclass
class Part:
    """One factor of a term: numbers, or levels, whose columns may sum to zero.

    Attributes:
        names: Names of its columns.
        values: The columns, shape ``(n, k)``.
        levels: Whether they stand for levels.
        contrast: Whether they sum to zero over the levels.
        means: What was taken off them, shape ``(k,)``, if anything was.
    """

    names: list[str]
    values: npt.NDArray[np.float64]
    levels: bool
    contrast: bool = False
    means: list[float] | None = None


def products(parts: Sequence[Part]) -> Iterator[list[tuple[str, npt.NDArray[np.float64]]]]:
    """Names and values of the products of one column of each factor.

    Those that differ in levels alone come together, the levels of the last factor fastest: they are a block.

    Args:
        parts: The factors.
    """
    level_parts = [part for part in parts if part.levels]
    numbers = [range(len(part.names)) if not part.levels else [None] for part in parts]
    for chosen in itertools.product(*numbers):
        block = []
        for levels in itertools.product(*(range(len(part.names)) for part in level_parts)):
            which = iter(levels)
            picked = [number if number is not None else next(which) for number in chosen]
            pairs = list(zip(parts, picked, strict=True))
            values = np.prod([part.values[:, one] for part, one in pairs], axis=0)
            block.append((":".join(part.names[one] for part, one in pairs), values))
        yield block
