"""From a problem and the name of an engine to a posterior and a verdict on it."""

from __future__ import annotations

from typing import cast

from l0bayes.selection.engines.choose_engine import Engine, infer_gates
from l0bayes.selection.engines.svi_gates import fit_gates
from l0bayes.selection.engines.svi_run import SVIOptions
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.trust.posterior_trust import Trust, trust_of

__all__ = ["solve"]


def solve(
    problem: SelectionProblem, engine: str, *, gate_law: str, restarts: int, seed: int
) -> tuple[SelectionPosterior, Trust]:
    """The posterior of a problem by an engine.

    Args:
        problem: The problem.
        engine: Name of the engine.
        gate_law: Law of the gates of a variational fit.
        restarts: Number of its restarts.
        seed: Seed.

    Raises:
        ValueError: If the engine cannot do the problem.
    """
    if engine == "svi":
        posterior = fit_gates(problem, gate_law=gate_law, options=SVIOptions(restarts=restarts), seed=seed)
        return posterior, trust_of(posterior, seed=seed)
    posterior = infer_gates(problem, cast(Engine, engine), seed=seed)
    return posterior, trust_of(posterior)
