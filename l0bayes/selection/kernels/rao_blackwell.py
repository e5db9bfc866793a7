r"""Gates' exact conditional probabilities, averaged over a posterior of the others."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.kernels.noise_proposals import NoiseMoves
from l0bayes.selection.problem.gaussian_problem import GaussianProblem

__all__ = ["rao_blackwell"]

# Models whose conditionals are computed at a time.
_CHUNK = 256
# Above so many active columns the noise is drawn for some of these models, and the others take theirs: where
# so many are active, it hardly depends on which.
_MOST_COLUMNS, _SOME_MODELS = 128, 16


@torch.no_grad()
def rao_blackwell(
    problem: GaussianProblem,
    pip: Tensor,
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

    An unknown noise variance is drawn from its law given the gates and the data, coefficients integrated out
    (:class:`~l0bayes.selection.kernels.noise_proposals.NoiseMoves`): at the fit's own variance, a fit whose
    noise is too large would agree with itself that small effects are none.

    Args:
        problem: The problem.
        pip: :math:`q(\gamma_g = 1)`, shape ``(G,)``.
        num_draws: Draws of independent gates, where ``gates`` are not given.
        gates: Draws of q, zeros and ones of shape ``(S, G)``; that their expectation is ``pip`` is used to
            reduce the Monte Carlo error. By default gates are independent under q.
        seed: Seed of the draws of independent gates, and of the noise.
    """
    joint = gates is not None
    parts = []
    with private_randomness(seed):
        if gates is None:
            gates = torch.rand(num_draws, problem.num_groups, dtype=torch.float64) < pip.to(torch.float64)
        for some in gates.bool().split(_CHUNK):
            odds = _with_noise(problem, some).log_odds()
            parts.append(torch.sigmoid(odds + problem.prior.conditional_log_odds(some.double())))
    conditional, drawn = torch.cat(parts), gates.double()
    mean = conditional.mean(0)
    if not joint:
        return mean
    # The gate itself is the control variate: its conditional and its draw err alike where they agree.
    off = drawn - drawn.mean(0)
    share = (off * (conditional - mean)).sum(0) / off.square().sum(0).clamp(min=1e-300)
    return mean - share * (drawn.mean(0) - pip)


def _with_noise(problem: GaussianProblem, gates: Tensor) -> ActiveSets:
    """Models with the noise variance that is known, integrated out, or drawn for each."""
    known = problem.noise_variance if problem.noise_prior is None else None
    # Of an unknown one only where the search for it begins.
    variance = known or float(problem.gram.square) / problem.num_observations or 1.0
    start = torch.full((len(gates),), variance, dtype=torch.float64)
    if problem.noise_prior is None or problem.conjugate_noise is not None:
        return active_sets(problem, gates, start)
    largest = int(gates[:, problem.groups].sum(1).max())
    count = len(gates) if largest <= _MOST_COLUMNS else _SOME_MODELS
    some = active_sets(problem, gates[:count], start[:count])
    settled = NoiseMoves(some, 1.0).drawn(some)
    if count >= len(gates):
        return settled
    return active_sets(problem, gates, settled.variances[torch.randint(count, (len(gates),))])
