r"""How far inclusion probabilities can be trusted: a word, and the numbers it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from l0bayes.user_warnings import warn_user

__all__ = ["Trust", "TrustWarning", "Verdict"]

Verdict = Literal["exact", "reliable", "plausible", "unchecked", "doubtful", "wrong"]

_WORDS: dict[Verdict, str] = {
    "exact": "All models were enumerated.",
    "reliable": "Sampled, with errors that are known and small.",
    "plausible": "A variational fit in which no sign of an error was found.",
    "unchecked": "Nothing could be checked, so that nothing is known of the inclusion probabilities.",
    "doubtful": "There are signs of an error.",
    "wrong": "The inclusion probabilities contradict one another: do not use them.",
}
_CONDITIONAL = "The answer is conditional on a likelihood that the data contradict."


class TrustWarning(UserWarning):
    """Inclusion probabilities that should not be used as they are."""


@dataclass(frozen=True)
class Trust:
    r"""A verdict with its reasons and numbers.

    Attributes:
        verdict: ``"exact"``, ``"reliable"``, ``"plausible"``, ``"unchecked"``, ``"doubtful"`` or ``"wrong"``.
        reasons: The reasons for it, one sentence each.
        mcse: Largest Monte Carlo standard error of a PIP, where sampled.
        ess: Effective sample size, where sampled.
        residual: Largest difference between a PIP and the mean of its exact conditional given the other
            gates, for a variational fit.
        k_hat: Pareto k-hat of the hardened guide, for a variational fit.
        disagreement: Largest difference of a PIP between restarts of some weight.
        worst: ``{"gate": g}``, the gate of the largest residual.
        contradiction: How the data contradict the likelihood on which all is conditional, if they do.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    mcse: float | None = None
    ess: float | None = None
    residual: float | None = None
    k_hat: float | None = None
    disagreement: float | None = None
    worst: dict[str, int] = field(default_factory=dict)
    contradiction: str | None = None

    def __str__(self) -> str:
        words = _WORDS[self.verdict] if self.contradiction is None else _CONDITIONAL
        return " ".join([f"{self.verdict}: {words}", *self.reasons])

    def __bool__(self) -> bool:
        """Whether the numbers may be used."""
        return self.verdict in ("exact", "reliable", "plausible")

    def warn(self, remedy: str = "engine='auto', or l0bayes.refine(fit)") -> None:
        """Warn where the verdict asks for it.

        Args:
            remedy: What to do instead, in the message.
        """
        if not self:
            warn_user(f"{self} Refine them: {remedy}.", TrustWarning)
