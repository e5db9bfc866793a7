r"""Gates' exact conditional probabilities, averaged over a posterior of the others."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.problem.gaussian_problem import GaussianProblem

__all__ = ["rao_blackwell"]

# Models whose conditionals are computed at a time.
_CHUNK = 256


@torch.no_grad()
def rao_blackwell(
    problem: GaussianProblem,
    pip: Tensor,
    variance: float,
    *,
    num_draws: int = 256,
    gates: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    r"""One pass of exact conditionals over a posterior q of the gates.

    .. math:: E_{\gamma_{-g} \sim q}\bigl[p(\gamma_g = 1 \mid \gamma_{-g}, D)\bigr]

    with coefficients integrated out. If q is the posterior, the result is :math:`q(\gamma_g = 1)` itself; a
    difference is a cheap alarm, and the result usually the better estimate. The draws must come from q
    itself: from independent draws, right probabilities of correlated gates would not be reproduced.

    Args:
        problem: The problem.
        pip: :math:`q(\gamma_g = 1)`, shape ``(G,)``.
        variance: Noise variance to condition on.
        num_draws: Draws of independent gates, where ``gates`` are not given.
        gates: Draws of q, zeros and ones of shape ``(S, G)``; that their expectation is ``pip`` is used to
            reduce the Monte Carlo error. By default gates are independent under q.
        seed: Seed of the draws of independent gates.
    """
    joint = gates is not None
    if gates is None:
        with private_randomness(seed):
            gates = torch.rand(num_draws, problem.num_groups, dtype=torch.float64) < pip.to(torch.float64)
    parts = []
    for some in gates.bool().split(_CHUNK):
        variances = torch.full((len(some),), variance, dtype=torch.float64)
        odds = active_sets(problem, some, variances).log_odds()
        parts.append(torch.sigmoid(odds + problem.prior.conditional_log_odds(some.double())))
    conditional, drawn = torch.cat(parts), gates.double()
    mean = conditional.mean(0)
    if not joint:
        return mean
    # The gate itself is the control variate: its conditional and its draw err alike where they agree.
    off = drawn - drawn.mean(0)
    share = (off * (conditional - mean)).sum(0) / off.square().sum(0).clamp(min=1e-300)
    return mean - share * (drawn.mean(0) - pip)
