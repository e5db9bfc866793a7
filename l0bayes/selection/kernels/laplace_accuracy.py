r"""How good the evidences by Laplace's method are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from l0bayes.selection.problem.verdict import Trust

__all__ = ["LaplaceAccuracy"]

# Second-order terms from here on leave an error that shows in a PIP.
_LARGE_CORRECTION = 0.2
# Odds of a model, relative to the best one, that some hundreds of draws should have met.
_MISSED = 0.03


@dataclass(frozen=True, kw_only=True)
class LaplaceAccuracy:
    """Signs of error of evidences by Laplace's method of second order.

    Attributes:
        correction: Largest second-order term of a log evidence; the error is of the order of its square.
        not_converged: Number of models whose mode was not found.
        missed: Odds of the most probable neighbour of the best model that was not drawn, relative to the
            best model; 0 where all models were computed.
        shared: Part of the terms that all models share, which moves no probability, where it is taken off.
    """

    correction: float
    not_converged: int
    missed: float = 0.0
    shared: float = 0.0

    def judge(self, trust: Trust) -> Trust:
        """A verdict that also counts these signs.

        Args:
            trust: The verdict if all evidences were exact.
        """
        fact = (
            "Evidences are by Laplace's method of second order, its largest correction is "
            f"{self.correction:.2g}"
            + (f", beside {self.shared:.2g} that all models share." if self.shared else ".")
        )
        doubts = []
        if self.correction > _LARGE_CORRECTION:
            doubts.append("That is large: there is little data for the number of coefficients.")
        if self.not_converged:
            doubts.append(f"{self.not_converged} modes were not found.")
        if self.missed > _MISSED:
            doubts.append(
                f"A model with {self.missed:.2g} times the probability of the best one was never drawn."
            )
        verdict = "doubtful" if doubts and trust else trust.verdict
        return replace(trust, verdict=verdict, reasons=(*trust.reasons, fact, *doubts))
