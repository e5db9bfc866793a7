r"""Sums over data sets for the truth and for draws in its place, and p-values from them.

Where a posterior is right, the truth that a data set was drawn with is a draw of it like any other. So what
is computed of the truth of all data sets is computed of B draws in its place as well, within each data set
together, and the truth is extreme among them in a share p of all cases and no more. Whatever is discrete or
tied, and whatever depends on whatever within a data set, is so in the draws, too.

Sources: Säilynoja, Bürkner and Vehtari 2022, "Graphical test for discrete uniformity and its applications in
goodness-of-fit evaluation and multiple sample comparison", Statistics and Computing 32; Modrák et al. 2023,
"Simulation-based calibration checking for Bayesian computation: the choice of test quantities shapes
sensitivity", Bayesian Analysis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Deviations", "Replicates", "joint_p", "p_values", "ranks_of"]

Array = npt.NDArray[np.float64]


def ranks_of(values: Array, ordered: Array, places: Array) -> Array:
    r"""Where values lie among draws, between 0 and 1: uniform where they are draws themselves.

    With :math:`r_<` draws below a value and :math:`r_=` that equal it, :math:`(r_< + u(r_= + 1))/(S + 1)`.

    Args:
        values: Values, shape ``(R,)``.
        ordered: Draws in ascending order, shape ``(S,)``.
        places: u, uniform numbers, shape ``(R,)``.
    """
    below = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    shares: Array = (below + places * (upto - below + 1)) / (len(ordered) + 1)
    return shares


class Replicates:
    """Sums of some numbers over data sets, of the truth in row 0 and of the draws in its place below.

    Args:
        count: Number of draws B.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.sums: dict[str, Array] = {}

    def add(self, name: str, values: Array) -> None:
        """Add what one data set gives.

        Args:
            name: What it is.
            values: Of the truth and of every draw, shape ``(B + 1, ...)``; or of all the same, without that
                axis.
        """
        if name in self.sums:
            self.sums[name] = self.sums[name] + values
        else:
            self.sums[name] = np.array(values, dtype=np.float64)

    def add_ranks(self, name: str, ranks: Array, bins: int) -> None:
        """Add ranks as counts by bin, and what their sums of first and second order need.

        Args:
            name: What they are of.
            ranks: Numbers between 0 and 1, shape ``(B + 1, m)``; NaN where there is none.
            bins: Number of bins.
        """
        there = ~np.isnan(ranks)
        index = np.minimum((np.where(there, ranks, 0.0) * bins).astype(int), bins - 1)
        counts = np.zeros((len(ranks), bins))
        rows = np.broadcast_to(np.arange(len(ranks))[:, None], ranks.shape)
        np.add.at(counts, (rows[there], index[there]), 1.0)
        self.add(name, counts)
        centred = np.where(there, ranks - 0.5, 0.0)
        moments = np.stack([centred.sum(1), np.where(there, centred**2 - 1.0 / 12.0, 0.0).sum(1)], 1)
        self.add(f"{name} moments", moments)

    def __getitem__(self, name: str) -> Array:
        return self.sums[name]

    def __contains__(self, name: str) -> bool:
        return name in self.sums


@dataclass(frozen=True)
class Deviations:
    """How far some numbers are from what they should be.

    Attributes:
        values: In standard deviations, of the truth in row 0 and of the draws below, shape ``(B + 1, m)``.
    """

    values: Array

    @classmethod
    def of(cls, sums: Array, expected: Array | float | None = None) -> Deviations:
        """Deviations of the truth from what is expected, and of the draws from their own mean.

        Args:
            sums: Of the truth and of the draws, shape ``(B + 1, m)``.
            expected: What the truth's should be, shape ``(m,)``; by default the mean of the draws.
        """
        middle, spread = sums[1:].mean(0), sums[1:].std(0)
        unvaried = spread <= 1e-12 * np.maximum(1.0, np.abs(middle))
        gaps = sums - middle
        if expected is not None:
            gaps[0] = np.where(unvaried, gaps[0], sums[0] - expected)
        # What never differs between draws must not differ in the truth.
        beyond = np.where(np.abs(gaps) > 1e-9 * np.maximum(1.0, np.abs(middle)), np.inf, 0.0)
        scaled = np.abs(gaps) / np.where(unvaried, 1.0, spread)
        return cls(np.where(unvaried, beyond, scaled))

    @property
    def largest(self) -> Array:
        """The largest of each row, shape ``(B + 1,)``."""
        largest: Array = self.values.max(1)
        return largest

    def beside(self, other: Deviations) -> Deviations:
        """Both together.

        Args:
            other: Others of the same rows.
        """
        return Deviations(np.concatenate([self.values, other.values], 1))


def p_values(statistic: Array, generator: np.random.Generator) -> Array:
    """Of every row the share of rows that are at least as extreme, ties in random order; shape ``(B + 1,)``.

    Args:
        statistic: The larger the more extreme, shape ``(B + 1,)``.
        generator: For the order of ties.
    """
    order = np.lexsort((generator.random(len(statistic)), -statistic))
    ranks = np.empty(len(statistic))
    ranks[order] = np.arange(1, len(statistic) + 1)
    return ranks / len(statistic)


def joint_p(values: Array, generator: np.random.Generator) -> tuple[float, Array]:
    """A p-value of all tests together, and of each one that counts how many there are.

    The smallest p-value of the truth is compared with the smallest of every draw.

    Args:
        values: p-values of T tests of every row, shape ``(T, B + 1)``.
        generator: For the order of ties.

    Returns:
        The joint one, and the adjusted ones, shape ``(T,)``.
    """
    smallest = values.min(0)
    adjusted: Array = (1.0 + (smallest[1:] <= values[:, :1]).sum(1)) / len(smallest)
    return float(p_values(-smallest, generator)[0]), np.minimum(1.0, adjusted)
