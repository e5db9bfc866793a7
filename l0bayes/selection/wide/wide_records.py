r"""Options and diagnostics of the engine "wide"."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from l0bayes import validate
from l0bayes.selection.problem.chain_trust import chain_trust
from l0bayes.selection.problem.selection_posterior import Diagnostics, Evidence, SelectionPosterior
from l0bayes.selection.problem.verdict import Trust

__all__ = ["WideDiagnostics", "WideOptions"]

# Two estimates of the same differ by more standard errors, and by more at all, if something is wrong.
_MOST_ERRORS, _SMALL = 5.0, 0.05
# A column outside whose probability is larger should have been an anchor.
_LARGEST_OUTSIDE = 0.05


@dataclass(frozen=True)
class WideOptions:
    """Number of chains, their length, and how many columns they work on.

    Args:
        chains: Number of chains, drawn in one batch; at least 2.
        steps: Most flips a chain after burn-in.
        burst: Flips in one working set, and between two passes over all columns; odd, since flips go in
            pairs.
        target_mcse: Largest Monte Carlo standard error of an inclusion probability at which it may stop
            early; 0 to run all ``steps``.
        working_set: Largest number of columns that are always in the working set.
        others: Number of other columns in it, drawn anew for every burst, and for each of eight groups of
            chains by itself.
        exploration: ε: each gate of a working set is proposed at least as often as if its probability were
            ε over their number.
        max_seconds: Time after which it stops at the end of a burst.
        num_draws: Size of the sample of models; by default 4000, and down to 1000 if there are many columns.

    Raises:
        ValueError: If a number is out of range.
    """

    chains: int = 64
    steps: int = 1485
    burst: int = 45
    target_mcse: float = 0.0065
    working_set: int = 1000
    others: int = 50
    exploration: float = 1.0
    max_seconds: float = math.inf
    num_draws: int | None = None

    def __post_init__(self) -> None:
        validate.at_least(2, chains=self.chains)
        validate.at_least(
            1,
            steps=self.steps,
            burst=self.burst,
            working_set=self.working_set,
            others=self.others,
            **validate.given(num_draws=self.num_draws),
        )
        if self.burst % 2 == 0:
            raise ValueError(f"burst must be odd, since flips go in pairs; got {self.burst}")
        validate.positive(exploration=self.exploration)
        validate.not_negative(target_mcse=self.target_mcse, max_seconds=self.max_seconds)


@dataclass(frozen=True, kw_only=True)
class WideDiagnostics(Diagnostics):
    """How long the sampler ran, how well the chains agree, and what lies outside of the working set.

    Attributes:
        flips: Number of flips a chain.
        chains: Number of chains.
        passes: Number of passes over all columns that were counted.
        largest_mcse: Largest Monte Carlo standard error of an inclusion probability.
        ess: Effective sample size.
        anchors: Number of columns that were always in the working set.
        outside: Sum of the inclusion probabilities of all others, from passes.
        outside_error: Its standard error.
        counted_outside: The same sum as the average number of their gates that were open.
        counted_error: Its standard error.
        largest_outside: The largest of these probabilities.
        cut_short: Whether it was interrupted.
    """

    method: ClassVar[str] = (
        "models were sampled by weighted tempered Gibbs sampling in sets of columns, with passes over all"
    )
    remedy: ClassVar[str | None] = (
        "run longer, options=WideOptions(steps=...), or with a larger working_set; columns that say the same "
        "can be left out"
    )

    flips: int
    chains: int
    passes: int
    largest_mcse: float
    ess: float
    anchors: int
    outside: float = 0.0
    outside_error: float = 0.0
    counted_outside: float = 0.0
    counted_error: float = 0.0
    largest_outside: float = 0.0
    cut_short: bool = False

    @property
    def evidence(self) -> Evidence:
        return "closed form"

    def verdict(self, posterior: SelectionPosterior, *, seed: int = 0) -> Trust:
        trust = chain_trust(self.largest_mcse, self.ess)
        reasons, doubtful = list(trust.reasons), False
        if self.passes:
            reasons.append(
                f"Outside of the {self.anchors} columns of the working set inclusion probabilities add up to "
                f"{self.outside:.3g} (standard error {self.outside_error:.2g}); the largest is "
                f"{self.largest_outside:.2g}."
            )
            gap = abs(self.outside - self.counted_outside)
            if gap > _SMALL + _MOST_ERRORS * math.hypot(self.outside_error, self.counted_error):
                doubtful = True
                reasons.append(
                    f"Counted, open gates outside are {self.counted_outside:.3g} on average, which does not "
                    "agree: the chains have not settled."
                )
            if self.largest_outside > _LARGEST_OUTSIDE:
                doubtful = True
                reasons.append("It should have been in the working set, which may be too small.")
        if self.cut_short:
            reasons.append("It was interrupted: this is what had been drawn by then.")
        verdict = "doubtful" if doubtful and trust.verdict == "reliable" else trust.verdict
        return replace(trust, verdict=verdict, reasons=tuple(reasons))
