r"""The verdict on a variational fit, from its signs of error."""

from __future__ import annotations

from l0bayes.selection.problem.verdict import Trust, Verdict

__all__ = ["judge_variational"]

# Fits that were right had residuals up to the first, fits that were wrong had residuals above the second.
_RESIDUALS = (0.03, 0.05)
_LARGEST_K_HAT = 0.7
_ALL_EFFECTIVE = 0.99
_AGREEMENT = 0.1


def judge_variational(
    residual: float | None,
    *,
    k_hat: float | None = None,
    effective_share: float | None = None,
    disagreement: float | None = None,
    worst: int | None = None,
    doubts: tuple[str, ...] = (),
) -> Trust:
    """The verdict on a variational fit, from its signs of error.

    Args:
        residual: Largest Rao-Blackwell residual; ``None`` where there is no exact conditional.
        k_hat: Pareto k-hat of the hardened guide; ``None`` where it is not defined.
        effective_share: Share of effective draws among those that k-hat is estimated from. If nearly all are
            effective, the ratios hardly vary and k-hat raises no doubt.
        disagreement: Largest difference of a PIP between restarts; ``None`` for one run.
        worst: Gate of the largest residual.
        doubts: Other reasons to doubt the fit, one sentence each.
    """
    level, reasons = int(bool(doubts)), [*doubts]
    if residual is not None:
        reasons.append(
            f"A PIP differs from the mean of its exact conditional by up to {residual:.3f} "
            f"(right fits: below {_RESIDUALS[0]}, wrong ones: above {_RESIDUALS[1]})."
        )
        level = max(level, sum(residual > bound for bound in _RESIDUALS))
    if k_hat is not None:
        reasons.append(f"Pareto k-hat of the hardened guide is {k_hat:.2f} (usable below {_LARGEST_K_HAT}).")
        # It is about weights and gates together, not PIPs alone: by itself it only raises doubt.
        level = max(level, int(k_hat > _LARGEST_K_HAT and (effective_share or 0.0) < _ALL_EFFECTIVE))
    if disagreement is not None:
        reasons.append(f"Restarts differ by up to {disagreement:.2f} in a PIP.")
        level = max(level, int(disagreement > _AGREEMENT))
    verdicts: tuple[Verdict, ...] = ("plausible", "doubtful", "wrong")
    return Trust(
        verdicts[level],
        tuple(reasons),
        residual=residual,
        k_hat=k_hat,
        disagreement=disagreement,
        worst={} if worst is None else {"gate": worst},
    )
