r"""The verdict on a variational fit, from its signs of error."""

from __future__ import annotations

from l0bayes.infer.loop.restart_agreement import LARGEST_PIP_GAP
from l0bayes.posterior.pareto import LARGEST_K_HAT, ratios_are_usable
from l0bayes.selection.problem.verdict import Trust, Verdict

__all__ = ["judge_variational"]

# Fits that were right had residuals up to the first, fits that were wrong had residuals above the second.
_RESIDUALS = (0.03, 0.05)


def judge_variational(
    residual: float | None,
    *,
    k_hat: float | None = None,
    effective_share: float | None = None,
    disagreement: float | None = None,
    worst: int | None = None,
    doubts: tuple[str, ...] = (),
    unchecked: tuple[str, ...] = (),
) -> Trust:
    """The verdict on a variational fit, from its signs of error.

    A good word takes evidence: a residual or importance ratios. Restarts that agree are none, since all may
    have gone wrong in the same way.

    Args:
        residual: Largest Rao-Blackwell residual; ``None`` where there is no exact conditional.
        k_hat: Pareto k-hat of the hardened guide; ``None`` where it is not defined.
        effective_share: Share of effective draws among those that k-hat is estimated from. If nearly all are
            effective, the ratios hardly vary and k-hat raises no doubt.
        disagreement: Largest difference of a PIP between restarts; ``None`` for one run.
        worst: Gate of the largest residual.
        doubts: Other reasons to doubt the fit, one sentence each.
        unchecked: Why signs could not be computed, one sentence each.
    """
    level, reasons = int(bool(doubts)), [*doubts]
    if residual is not None:
        reasons.append(
            f"A PIP differs from the mean of its exact conditional by up to {residual:.3f} "
            f"(right fits: below {_RESIDUALS[0]}, wrong ones: above {_RESIDUALS[1]})."
        )
        level = max(level, sum(residual > bound for bound in _RESIDUALS))
    if k_hat is not None:
        reasons.append(f"Pareto k-hat of the hardened guide is {k_hat:.2f} (usable up to {LARGEST_K_HAT}).")
        # It is about weights and gates together, not PIPs alone: by itself it only raises doubt.
        level = max(level, int(not ratios_are_usable(k_hat, effective_share or 0.0)))
    if disagreement is not None:
        reasons.append(f"Restarts differ by up to {disagreement:.2f} in a PIP.")
        level = max(level, int(disagreement > LARGEST_PIP_GAP))
    verdicts: tuple[Verdict, ...] = ("plausible", "doubtful", "wrong")
    verdict = verdicts[level]
    if verdict == "plausible" and residual is None and k_hat is None:
        verdict = "unchecked"
        reasons += unchecked
    return Trust(
        verdict,
        tuple(reasons),
        residual=residual,
        k_hat=k_hat,
        disagreement=disagreement,
        worst={} if worst is None else {"gate": worst},
    )
