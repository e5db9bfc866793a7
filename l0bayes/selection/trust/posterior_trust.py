r"""How far the inclusion probabilities of a posterior can be trusted."""

from __future__ import annotations

import torch

from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.verdict import Trust

__all__ = ["trust_of"]

_ROUNDING = 1e-6


def trust_of(posterior: SelectionPosterior, *, seed: int = 0) -> Trust:
    """The verdict on a posterior: that of its engine, after a check that probabilities lie in [0, 1].

    Args:
        posterior: The posterior from an engine.
        seed: Seed of draws that the verdict may need.
    """
    pip = posterior.pip
    if not bool(torch.isfinite(pip).all()):
        return Trust("wrong", ("Some inclusion probabilities are not finite.",))
    outside = float(torch.maximum(-pip, pip - 1.0).max())
    if outside > _ROUNDING:
        return Trust("wrong", (f"Some inclusion probabilities are outside of [0, 1], by {outside:.2g}.",))
    return posterior.diagnostics.verdict(posterior, seed=seed)
