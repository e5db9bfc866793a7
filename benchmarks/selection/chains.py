r"""Long chains on GLMs of many columns, with the exact likelihood and nothing of the library.

No intercept, :math:`\beta_j = \gamma_j\theta_j`, :math:`\theta_j \sim N(0, s^2)`,
:math:`\gamma_j \sim \mathrm{Bern}(\pi)`. Samplers run several chains and say the standard error of every
probability by the spread of the chains' means. Probabilities are averages of each gate's conditional
probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from benchmarks.selection.records import Array

__all__ = ["Chains", "LongRun", "run_chains"]


@dataclass(frozen=True)
class LongRun:
    """What chains found.

    Attributes:
        pip: Inclusion probabilities.
        se: Their standard errors, by the spread between chains.
        sweeps: Sweeps of each chain that count.
    """

    pip: Array
    se: Array
    sweeps: int


class Chains(Protocol):
    """Chains side by side."""

    def sweep(self) -> Array:
        """Go on by one sweep; the conditional probability of every gate, shape (chains, p)."""


def run_chains(
    chains: Chains, target: float = 0.003, burn_in: int = 200, most: int = 2000, check_every: int = 100
) -> LongRun:
    """Run until the largest standard error is small enough.

    Args:
        chains: The chains.
        target: Largest standard error to stop at.
        burn_in: Sweeps that are left out, at the start.
        most: Most sweeps that count.
        check_every: Sweeps between two looks at the error.
    """
    for _ in range(burn_in):
        chains.sweep()
    total = chains.sweep()
    for done in range(1, most + 1):
        means = total / done
        se = means.std(0, ddof=1) / math.sqrt(len(means))
        if done == most or (done % check_every == 0 and se.max() <= target):
            break
        total = total + chains.sweep()
    return LongRun(means.mean(0), se, done)
