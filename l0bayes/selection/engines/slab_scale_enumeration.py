r"""All models of a Gaussian problem whose slabs have a learned scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from l0bayes.selection.engines.engine import Progress, silent
from l0bayes.selection.engines.enumeration import Enumeration
from l0bayes.selection.engines.gaussian_enumeration import enumerate_gaussian
from l0bayes.selection.kernels.resampling import systematic_indices
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws

__all__ = ["enumerate_learned_slabs"]

# The grid of log s begins with this step, which is halved until the log evidence stays to this precision: a
# halving takes the rule's error to its fourth power. One with its mass in few nodes is laid anew about them.
_STEP, _PRECISION, _ROUNDS = 0.8, 0.02, 6
_FEWEST, _NEAR, _FINE = 8, 30.0, 20
# It ends where the change of the log evidence over a pace, times what the prior has beyond, is this small, or
# the prior leaves next to nothing.
_FLAT, _LEFT_BEYOND, _REACH, _PACE = 1e-8, -28.0, 30.0, 1.6
# Places at which the density between nodes, and beyond them, is looked at.
_PLACES = 4001


def enumerate_learned_slabs(problem: LearnedSlabProblem, num_draws: int, progress: Progress) -> Enumeration:
    r"""The posterior over all models, with the scale of the slabs integrated out by the trapezoidal rule,

    .. math:: p(D) = \int p(D \mid e^u)\,p(u)\,du, \qquad u = \log s,

    each :math:`p(D \mid s)` and the posterior given s in closed form
    (:func:`~l0bayes.selection.engines.gaussian_enumeration.enumerate_gaussian`). The integrand is analytic;
    the step is halved until the evidence stays. On the left, where slabs are too small for the data to see,
    and on the right, where every model with a column is ruled out, the evidence no longer changes: what the
    prior has beyond is counted at the ends.

    Draws of the scale are quantiles of its posterior between the nodes, where :math:`\log p(D \mid e^u)` is a
    cubic spline; each has the gates and the noise of a draw at the node that has its share of the posterior.

    Args:
        problem: The problem.
        num_draws: Size of the sample of models.
        progress: Called with the share of the work that is done.
    """
    found: dict[float, Enumeration] = {}
    draws = max(200, num_draws // 4)

    def at(u: float) -> Enumeration:
        place = round(u, 9)
        if place not in found:
            found[place] = enumerate_gaussian(problem.at(_double(u).exp()), draws, silent)
            progress(1.0 - 0.5 ** (len(found) / 12))
        return found[place]

    low, high = _ends(problem, at)
    step, before = _STEP, math.inf
    logs, total = torch.zeros(()), math.inf
    for _ in range(_ROUNDS):
        grid = low + step * torch.arange(round((high - low) / step) + 1, dtype=torch.float64)
        evidences = _double([at(float(u)).log_evidence for u in grid])
        logs = evidences + _log_weights(problem, grid, step)
        total = float(torch.logsumexp(logs, 0))
        near = (logs > logs.max() - _NEAR).nonzero()[:, 0]
        if len(near) < _FEWEST:
            last = len(grid) - 1
            low, high = (float(grid[min(max(int(one), 0), last)]) for one in (near[0] - 1, near[-1] + 1))
            step, before = (high - low) / _FINE, math.inf
            continue
        if abs(total - before) < _PRECISION:
            break
        step, before = 0.5 * step, total
    scales = _quantiles(problem, grid, evidences, num_draws).exp()
    return _mixed([at(float(u)) for u in grid], scales, (logs - total).exp(), total)


def _ends(problem: LearnedSlabProblem, at: Callable[[float], Enumeration]) -> tuple[float, float]:
    """Logarithms of the smallest and largest scale that matter."""
    ends = []
    for place, direction in enumerate((-1.0, 1.0)):
        paces, here = 0, at(0.0).log_evidence
        while paces * _PACE < _REACH:
            paces += 1
            u = direction * paces * _PACE
            before, here = here, at(u).log_evidence
            beyond = float(problem.slab_law.tails(_double(u), _double(u))[place])
            flat = abs(here - before) * math.exp(beyond) < _FLAT
            if (paces * _PACE > 3.0 and flat) or beyond < _LEFT_BEYOND:
                break
        ends.append(direction * paces * _PACE)
    return ends[0], ends[1]


def _log_weights(problem: LearnedSlabProblem, grid: Tensor, step: float) -> Tensor:
    """Log prior masses of the nodes, those at the ends with all that is beyond."""
    weights = problem.slab_law.log_density_of_log(grid) + math.log(step)
    half = math.log(0.5)
    below, above = problem.slab_law.tails(grid[0], grid[-1])
    weights[0] = torch.logaddexp(weights[0] + half, below)
    weights[-1] = torch.logaddexp(weights[-1] + half, above)
    return weights


def _quantiles(problem: LearnedSlabProblem, grid: Tensor, evidences: Tensor, count: int) -> Tensor:
    r"""So many quantiles of the posterior of :math:`\log s`, in equal steps of probability, ascending."""
    from scipy.interpolate import CubicSpline

    low, high = float(grid[0]), float(grid[-1])
    inside, above = _even(low, high), _even(high, max(_REACH, high))[1:]
    places = torch.cat([_even(min(-_REACH, low), low)[:-1], inside, above])
    spline = CubicSpline(grid.numpy(), evidences.numpy())
    logs = torch.from_numpy(spline(places.clamp(low, high).numpy())) - evidences.max()
    density = (logs + problem.slab_law.log_density_of_log(places)).exp()
    left, right = (
        float((end + tail).exp())
        for end, tail in zip(logs[[0, -1]], problem.slab_law.tails(places[0], places[-1]), strict=True)
    )
    mass = torch.cat([_double([0.0]), torch.cumulative_trapezoid(density, places)]) + left
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count * (float(mass[-1]) + right)
    return torch.from_numpy(np.interp(shares.numpy(), mass.numpy(), places.numpy()))


def _mixed(nodes: list[Enumeration], scales: Tensor, shares: Tensor, log_evidence: float) -> Enumeration:
    def mean(name: str) -> Tensor:
        total: Tensor = sum(share * getattr(node, name) for share, node in zip(shares, nodes, strict=True))
        return total

    num_draws = len(scales)
    counts = torch.bincount(systematic_indices(shares, num_draws), minlength=len(nodes)).tolist()
    parts = [(node.draws, _some(node.draws.gates, count)) for node, count in zip(nodes, counts, strict=True)]
    draws = ModelDraws(
        torch.cat([one.gates[chosen] for one, chosen in parts]),
        torch.cat([one.variances[chosen] for one, chosen in parts]),
        torch.full((num_draws,), 1.0 / num_draws, dtype=torch.float64),
        torch.zeros(num_draws, dtype=torch.long),
        scales[:, None],
    )
    return replace(
        nodes[int(shares.argmax())],
        probabilities=mean("probabilities"),
        log_evidence=log_evidence,
        mean=mean("mean"),
        second_moment=mean("second_moment"),
        draws=draws,
        log_odds=None,
        scalar_nodes=len(nodes),
    )


def _even(low: float, high: float) -> Tensor:
    return torch.linspace(low, high, _PLACES, dtype=torch.float64)


def _some(gates: Tensor, count: int) -> Tensor:
    """So many of the draws, at random; again and again where more are asked for than there are."""
    return torch.randperm(max(1, math.ceil(count / len(gates))) * len(gates))[:count] % len(gates)


def _double(values: float | list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
