r"""What the chains of a wide problem have found, as sums and as probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from l0bayes.selection.wide.wide_chains import WideChains
from l0bayes.selection.wide.wide_sums import BurstSums, PassSums, anchor_errors, ratio_errors
from l0bayes.selection.wide.working_set import WorkingSet

__all__ = ["WideFindings"]


@dataclass(frozen=True)
class WideFindings:
    """What the chains have found.

    Attributes:
        bursts: Sums of the anchors.
        passes: Sums of all columns.
        working: Anchors and chances.
        chains: The chains as they stand.
        flips: Number of flips a chain, burn-in included.
        cut_short: Whether it was interrupted.
    """

    bursts: BurstSums
    passes: PassSums
    working: WorkingSet
    chains: WideChains
    flips: int
    cut_short: bool

    @property
    def pip(self) -> tuple[Tensor, Tensor]:
        """Inclusion probabilities and their standard errors, each of shape ``(p,)``."""
        if self.working.is_all:
            return ratio_errors(self.bursts.pip, self.bursts.weight)
        pip, error = ratio_errors(self.passes.pip, self.passes.weight)
        anchors = self.working.anchors
        pip[anchors], error[anchors] = self.of_anchors
        return pip, error

    @property
    def of_anchors(self) -> tuple[Tensor, Tensor]:
        """Inclusion probabilities of the anchors and their standard errors, each of shape ``(A,)``."""
        return anchor_errors(self.bursts, self.chains.group, self.working.is_all)

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Means and second moments of the coefficients, each of shape ``(p,)``."""
        anchors, total = self.working.anchors, self.bursts.weight.sum()
        found = []
        for of_all, of_anchors in (
            (self.passes.mean, self.bursts.mean),
            (self.passes.second, self.bursts.second),
        ):
            values = of_all / self.passes.weight.sum().clamp(min=1e-300)
            values[anchors] = of_anchors / total
            found.append(values)
        return found[0], found[1]

    @property
    def outside(self) -> tuple[float, float]:
        """Sum of the inclusion probabilities outside of the anchors, and its standard error."""
        if self.working.is_all:
            return 0.0, 0.0
        totals = self.passes.pip.sum(1) - self.passes.pip[:, self.working.anchors].sum(1)
        mass, error = ratio_errors(totals, self.passes.weight)
        return float(mass), float(error)

    @property
    def counted_outside(self) -> tuple[float, float]:
        """Expected number of open gates outside of the anchors as counted, and its standard error."""
        mass, error = ratio_errors(self.bursts.outside, self.bursts.weight)
        return float(mass), float(error)

    @property
    def largest_outside(self) -> float:
        """Largest inclusion probability of a column that is no anchor."""
        if self.working.is_all:
            return 0.0
        pip = self.passes.pip.sum(0) / self.passes.weight.sum()
        pip[self.working.anchors] = 0.0
        return float(pip.max())
