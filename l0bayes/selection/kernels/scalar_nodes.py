r"""Where numbers of a likelihood that are learned have their posterior: nodes of a lattice."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.kernels.gaussian_expansion import expand_at_ridge
from l0bayes.selection.kernels.laplace import Modes, find_modes
from l0bayes.selection.problem.learned_problem import LearnedProblem

__all__ = ["ScalarNodes", "find_mode", "find_nodes"]

# Distance of nodes in standard deviations of the posterior: with h of them the trapezoidal rule errs by about
# 2 exp(-2 pi^2 / h^2), here 5e-9 and 7e-6.
_SPACING = {1: 1.0, 2: 1.25}
# Nodes count down to so many nats below the highest.
_REACH = 10.0
_MOST_NODES = 200
# Step of differences, longest step, and where the search for the mode ends.
_DIFFERENCE, _LONGEST, _CLOSE, _MOST_STEPS = 0.1, 1.5, 0.03, 40
_NARROWEST, _WIDEST = 0.02, 1.5


@dataclass(frozen=True)
class ScalarNodes:
    """Nodes of the trapezoidal rule.

    Attributes:
        logs: Logarithms of the numbers, shape ``(K, q)``.
        log_weights: Log prior density there, and of the volume that each node stands for, shape ``(K,)``.
        heights: Log evidence of the models that the nodes were found with, prior included, shape ``(K,)``.
        lattice: Whole numbers of each node, shape ``(K, q)``.
        basis: What a step along each axis of the lattice is in logarithms, columns of shape ``(q, q)``.
    """

    logs: Tensor
    log_weights: Tensor
    heights: Tensor
    lattice: Tensor
    basis: Tensor

    @property
    def best(self) -> int:
        """The highest node."""
        return int(self.heights.argmax())


class _Surface:
    """Log evidence of some models together, over the logarithms of the numbers."""

    def __init__(self, problem: LearnedProblem, gates: Tensor) -> None:
        self.problem, self.gates = problem, gates
        self.log_prior = problem.prior.log_prob(gates)
        self.modes: Modes | None = None
        self.least = torch.tensor([one.least for one in problem.scalars], dtype=torch.float64)
        self.most = torch.tensor([one.most for one in problem.scalars], dtype=torch.float64)

    def __call__(self, logs: Tensor) -> float:
        if bool(((logs < self.least) | (logs > self.most)).any()):
            return -torch.inf
        here = self.problem.at(logs)
        if self.modes is None:
            share = self.problem.prior.inclusion(self.problem.num_groups)[self.problem.groups]
            near = expand_at_ridge(here, self.problem.slab_scale * share.sqrt())
            found = find_modes(here, self.gates, near)
        else:
            found = find_modes(here, self.gates, self.modes)
        self.modes = found
        height = torch.logsumexp(found.log_evidence + self.log_prior, 0) + self.problem.log_density(logs)
        value = float(height)
        return value if value == value else -torch.inf


def find_mode(problem: LearnedProblem, gates: Tensor, start: Tensor) -> Tensor:
    """Logarithms of the numbers under which some models together are most probable, shape ``(q,)``.

    Args:
        problem: The problem.
        gates: The models, zeros and ones, shape ``(M, G)``.
        start: Where to start, shape ``(q,)``.
    """
    return _climb(_Surface(problem, gates), start)[0]


def find_nodes(problem: LearnedProblem, gates: Tensor, start: Tensor) -> ScalarNodes:
    """A lattice about the mode, along the axes of the curvature there, as far as there is any mass.

    Args:
        problem: The problem.
        gates: The models whose posterior of the numbers is to be covered, shape ``(M, G)``.
        start: Where to start, shape ``(q,)``.
    """
    surface = _Surface(problem, gates)
    centre, hessian = _climb(surface, start)
    values, axes = torch.linalg.eigh(-hessian)
    spread = values.clamp(min=_WIDEST**-2, max=_NARROWEST**-2).rsqrt()
    basis = _SPACING[len(start)] * axes * spread
    heights: dict[tuple[int, ...], float] = {}
    highest, waiting = -torch.inf, deque([(0,) * len(start)])
    moves = [move for move in itertools.product((-1, 0, 1), repeat=len(start)) if sum(map(abs, move)) == 1]
    while waiting and len(heights) < _MOST_NODES:
        place = waiting.popleft()
        if place in heights:
            continue
        height = surface(centre + basis @ torch.tensor(place, dtype=torch.float64))
        heights[place], highest = height, max(highest, height)
        if height > highest - _REACH:
            waiting.extend(tuple(a + b for a, b in zip(place, move, strict=True)) for move in moves)
    kept = [place for place, height in heights.items() if height > highest - _REACH]
    lattice = torch.tensor(kept, dtype=torch.float64)
    logs = centre + lattice @ basis.T
    volume = torch.linalg.det(basis).abs().log()
    found = torch.tensor([heights[place] for place in kept], dtype=torch.float64)
    return ScalarNodes(logs, problem.log_density(logs) + volume, found, lattice, basis)


def _climb(surface: _Surface, start: Tensor) -> tuple[Tensor, Tensor]:
    """The mode and the matrix of second differences there, by Newton's method with differences."""
    here, height = start.clone(), surface(start)
    units = torch.eye(len(start), dtype=torch.float64) * _DIFFERENCE
    for _ in range(_MOST_STEPS):
        slope, hessian = _differences(surface, here, height, units)
        values, axes = torch.linalg.eigh(hessian)
        # Along an axis that bends upwards, and where there is hardly a bend, go uphill.
        step = axes @ ((axes.T @ slope) / values.abs().clamp(min=0.2))
        step = step * min(1.0, _LONGEST / max(float(step.abs().max()), 1e-300))
        if float(step.abs().max()) < _CLOSE:
            break
        while float(step.abs().max()) >= _CLOSE:
            there = surface(here + step)
            if there > height:
                here, height = here + step, there
                break
            step = 0.5 * step
        else:
            break
    return here, _differences(surface, here, height, units)[1]


def _differences(surface: _Surface, here: Tensor, height: float, units: Tensor) -> tuple[Tensor, Tensor]:
    count = len(here)
    slope, hessian = torch.zeros(count, dtype=torch.float64), torch.zeros(count, count, dtype=torch.float64)
    sides = [(surface(here + unit), surface(here - unit)) for unit in units]
    for index, (up, down) in enumerate(sides):
        slope[index] = (up - down) / (2.0 * _DIFFERENCE)
        hessian[index, index] = (up + down - 2.0 * height) / _DIFFERENCE**2
    for a, b in itertools.combinations(range(count), 2):
        both = surface(here + units[a] + units[b]) + surface(here - units[a] - units[b])
        rest = sum(sides[a]) + sum(sides[b]) - 2.0 * height
        hessian[a, b] = hessian[b, a] = (both - rest) / (2.0 * _DIFFERENCE**2)
    finite = bool(torch.isfinite(slope).all() and torch.isfinite(hessian).all())
    if not finite:  # at an end of where it is looked for
        slope = torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)
        hessian = -torch.eye(count, dtype=torch.float64)
    return slope, hessian
