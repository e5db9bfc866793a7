r"""The verdict on a variational fit, from its signs of error."""

from __future__ import annotations

import math

from l0bayes.infer.loop.restart_agreement import LARGEST_PIP_GAP
from l0bayes.posterior.pareto import LARGEST_K_HAT, ratios_are_usable
from l0bayes.selection.problem.verdict import Trust, Verdict

__all__ = ["judge_variational"]

# Fits that were right had residuals up to the first, fits that were wrong had residuals above the second.
_RESIDUALS = (0.03, 0.05)

# Importance weights that move a PIP further than this are a sign of error.
_SHIFT = 0.05
# With a smaller share of effective draws the few that count decide, and k-hat is no evidence alone.
_FEWEST_EFFECTIVE = 0.05


def judge_variational(
    residual: float | None,
    *,
    k_hat: float | None = None,
    effective_share: float | None = None,
    shift: float | None = None,
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
        shift: By how much importance weights move a PIP, less three of its standard errors; ``None`` where
            they are not reliable enough to say.
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
        usable = ratios_are_usable(k_hat, effective_share or 0.0)
        reasons.append(_of_k_hat(k_hat, usable))
        # It is about weights and gates together, not PIPs alone: by itself it only raises doubt.
        level = max(level, int(not usable))
        if residual is None and effective_share is not None and effective_share < _FEWEST_EFFECTIVE:
            reasons.append(
                f"Only {effective_share:.1%} of the draws are effective, too few to vouch for the PIPs alone."
            )
            level = max(level, 1)
    if shift is not None and shift > _SHIFT:
        reasons.append(
            f"Importance weights move a PIP by {shift:.2f} more than chance does; "
            "l0bayes.posterior.importance_weighted(fit) gives the weighted ones."
        )
        level = max(level, 1)
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


def _of_k_hat(k_hat: float, usable: bool) -> str:
    if k_hat == -math.inf:
        return "The importance ratios of the hardened guide take few values and have no tail."
    if usable and k_hat > LARGEST_K_HAT:
        return (
            "The importance ratios of the hardened guide hardly vary, so that Pareto k-hat of their tail "
            f"({k_hat:.2f}) is noise."
        )
    return f"Pareto k-hat of the hardened guide is {k_hat:.2f} (usable up to {LARGEST_K_HAT})."
