r"""The verdict on inclusion probabilities from chains, by their standard errors."""

from __future__ import annotations

import math

from l0bayes.selection.problem.verdict import Trust, Verdict

__all__ = ["chain_trust"]

# Monte Carlo standard errors of a PIP: the largest of a reliable one, and the largest of a doubtful one.
_RELIABLE_ERROR, _DOUBTFUL_ERROR = 0.01, 0.03
_FEWEST_EFFECTIVE = 200.0


def chain_trust(error: float, ess: float) -> Trust:
    """How far probabilities from chains can be trusted.

    Args:
        error: Largest Monte Carlo standard error of an inclusion probability.
        ess: Effective sample size.
    """
    if not math.isfinite(error):
        reason = "The sampler has overflowed: some numbers are not finite."
        return Trust("wrong", (reason,), mcse=error, ess=ess)
    reasons = [f"The largest Monte Carlo standard error of a PIP is {error:.4f}."]
    verdict: Verdict = "reliable"
    if error > _RELIABLE_ERROR:
        verdict = "doubtful" if error <= _DOUBTFUL_ERROR else "wrong"
        reasons.append("Run longer: the chains have not agreed.")
    if ess < _FEWEST_EFFECTIVE:
        verdict = "doubtful" if verdict == "reliable" else verdict
        reasons.append(f"The effective sample size is {ess:.0f}.")
    return Trust(verdict, tuple(reasons), mcse=error, ess=ess)
