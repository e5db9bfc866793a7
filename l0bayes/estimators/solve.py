"""From a problem and the name of an engine to a posterior and a verdict on it."""

from __future__ import annotations

from typing import cast

from l0bayes.selection.engines import Engine, infer_gates
from l0bayes.selection.glm_problem import GLMProblem
from l0bayes.selection.problem import LinearProblem
from l0bayes.selection.result import SelectionPosterior
from l0bayes.selection.svi import SVIOptions, fit_gates
from l0bayes.selection.trust import Trust, trust_of

__all__ = ["solve"]

# Second-order terms of Laplace's method from here on leave an error that shows in a PIP.
_LARGE_CORRECTION = 0.5


def solve(
    problem: LinearProblem, engine: str, *, guide: str, restarts: int, seed: int
) -> tuple[SelectionPosterior, Trust]:
    """The posterior of a problem by an engine.

    Args:
        problem: The problem.
        engine: Name of the engine.
        guide: Gate family of a variational fit.
        restarts: Number of its restarts.
        seed: Seed.

    Raises:
        ValueError: If the engine cannot do the problem.
    """
    if engine == "svi":
        posterior = fit_gates(problem, family=guide, options=SVIOptions(restarts=restarts), seed=seed)
        return posterior, trust_of(posterior, seed=seed)
    posterior = infer_gates(problem, cast(Engine, engine), seed=seed)
    if posterior.engine == "exact" and isinstance(problem, GLMProblem):
        return posterior, _laplace(posterior)
    return posterior, trust_of(posterior)


def _laplace(posterior: SelectionPosterior) -> Trust:
    """All models, each by Laplace's method."""
    correction = float(posterior.diagnostics["correction"])
    failed = int(posterior.diagnostics["not_converged"])
    reasons = [
        f"Evidences are by Laplace's method of second order, its largest correction is {correction:.2g}."
    ]
    if failed:
        reasons.append(f"{failed} modes were not found.")
    doubtful = correction > _LARGE_CORRECTION or failed > 0
    if correction > _LARGE_CORRECTION:
        reasons.append("That is large: there is little data for the number of coefficients.")
    return Trust("doubtful" if doubtful else "exact", tuple(reasons))
