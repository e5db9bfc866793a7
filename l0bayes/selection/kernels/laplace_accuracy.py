r"""How good the evidences by Laplace's method are, and what importance sampling made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from l0bayes.posterior.pareto import LARGEST_K_HAT
from l0bayes.selection.problem.verdict import Trust

__all__ = ["ImportanceCheck", "LaplaceAccuracy"]

# Errors of a PIP up to which evidences are as good as exact: the largest standard error, and where nothing
# was sampled the largest second-order term.
_LARGEST_ERROR, _LARGEST_CORRECTION = 0.005, 0.1
# Odds of a model, relative to the best one, that some hundreds of draws should have met.
_MISSED = 0.03
# Fewer effective draws, or a smaller share of them under a heavy tail, and averages are not trusted.
_FEWEST_EFFECTIVE, _SMALL_SHARE = 400.0, 0.7


@dataclass(frozen=True, kw_only=True)
class ImportanceCheck:
    """What importance sampling of the coefficients says of evidences by Laplace's method.

    Attributes:
        draws: Number of draws.
        ess: Effective number of them.
        k_hat: Pareto k-hat of their ratios.
        error: Largest standard error of a PIP.
        gap: Largest difference of a PIP from that by Laplace's method.
        corrected: Whether the probabilities are those of importance sampling, since the two differ.
    """

    draws: int
    ess: float
    k_hat: float
    error: float
    gap: float
    corrected: bool

    @property
    def words(self) -> str:
        """The finding in a sentence."""
        found = f"{self.draws} importance draws ({self.ess:.0f} effective, Pareto k-hat {self.k_hat:.2f})"
        if self.corrected:
            return (
                f"{found} have corrected them, by up to {self.gap:.2g} of a PIP; the largest standard error "
                f"is {self.error:.2g}."
            )
        return f"{found} agree: the largest standard error of a PIP is {self.error:.2g}."

    @property
    def doubts(self) -> list[str]:
        """Why it is not to be trusted, one sentence each."""
        found = []
        if not self.error <= _LARGEST_ERROR:
            found.append("That error is large.")
        if self.ess < _FEWEST_EFFECTIVE:
            found.append("Few of the draws are effective.")
        elif self.k_hat > LARGEST_K_HAT and self.ess < _SMALL_SHARE * self.draws:
            found.append("Pareto's k-hat is large: the draws may miss a part of the posterior.")
        return found


@dataclass(frozen=True, kw_only=True)
class LaplaceAccuracy:
    """Signs of error of evidences by Laplace's method of second order.

    Attributes:
        correction: Largest second-order term of a log evidence; the error is of the order of its square.
        not_converged: Number of models whose mode was not found.
        missed: Odds of the most probable neighbour of the best model that was not drawn, relative to the
            best model; 0 where all models were computed.
        shared: Part of the terms that all models share, where it is taken off.
        importance: How importance sampling has checked and corrected them; ``None`` where it was not asked,
            and all terms count, those that models share too.
    """

    correction: float
    not_converged: int
    missed: float = 0.0
    shared: float = 0.0
    importance: ImportanceCheck | None = None

    @property
    def corrected(self) -> bool:
        """Whether probabilities are those of importance sampling, since Laplace's method errs."""
        return self.importance is not None and self.importance.corrected

    def judge(self, trust: Trust) -> Trust:
        """A verdict that also counts these signs.

        Args:
            trust: The verdict if all evidences were exact.
        """
        facts = [
            "Evidences are by Laplace's method of second order, its largest correction is "
            f"{self.correction:.2g}"
            + (f", beside {self.shared:.2g} that all models share." if self.shared else ".")
        ]
        doubts = []
        if self.importance is not None:
            facts.append(self.importance.words)
            doubts += self.importance.doubts
        elif not max(self.correction, abs(self.shared)) <= _LARGEST_CORRECTION:
            doubts.append("That is large: there is little data for the number of coefficients.")
        if self.not_converged:
            doubts.append(f"{self.not_converged} modes were not found.")
        if self.missed > _MISSED:
            doubts.append(
                f"A model with {self.missed:.2g} times the probability of the best one was never drawn."
            )
        verdict = "doubtful" if doubts and trust else trust.verdict
        return replace(trust, verdict=verdict, reasons=(*trust.reasons, *facts, *doubts))
