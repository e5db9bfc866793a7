r"""Draws of a number whose posterior is known at the nodes of a quadrature, from all that lies between them.

The trapezoidal rule needs nodes about a standard deviation apart, and is exact to ten digits there; draws of
its nodes have the right moments, and quantiles that are rounded to them. The density is smooth: its logarithm
is interpolated by a cubic spline, which is exact for a Normal one.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["between_nodes", "quantiles_between"]

# Places in each cell at which the density is computed, and nats below the highest node that are left out.
_FINE, _DROP = 64, 40.0


def quantiles_between(places: Tensor, log_masses: Tensor, shares: Tensor) -> Tensor:
    r"""Quantiles of a density that is known at whole numbers.

    With s the cubic spline through the log masses, :math:`F^{-1}(u)` of :math:`F(x) \propto \int e^s`. Where
    whole numbers are left out, as between two peaks, there is no mass.

    Args:
        places: Whole numbers, ascending, shape ``(K,)``.
        log_masses: Logarithms of the masses there, up to a constant, shape ``(K,)``.
        shares: Probabilities u, in [0, 1], any shape.

    Returns:
        The quantiles, within the outermost places.
    """
    import numpy as np
    from scipy.interpolate import CubicSpline

    x, log_mass = places.double().numpy(), (log_masses - log_masses.max()).double().numpy()
    kept = log_mass > -_DROP
    x, log_mass = x[kept], log_mass[kept]
    if len(x) == 1:
        return torch.full(shares.shape, float(x[0]), dtype=torch.float64)
    ends = np.flatnonzero(np.diff(x) > 1.5) + 1
    fine, mass, total = [], [], 0.0
    for part, logs in zip(np.split(x, ends), np.split(log_mass, ends), strict=True):
        if len(part) == 1:  # a cell of its own
            at = np.array([part[0] - 0.5, part[0] + 0.5])
            density = np.exp(np.repeat(logs, 2))
        else:
            at = np.linspace(part[0], part[-1], _FINE * round(part[-1] - part[0]) + 1)
            density = np.exp(CubicSpline(part, logs)(at))
        steps = 0.5 * (density[1:] + density[:-1]) * np.diff(at)
        fine.append(at)
        mass.append(total + np.concatenate([[0.0], np.cumsum(steps)]))
        total = float(mass[-1][-1])
    found = np.interp(shares.double().numpy() * total, np.concatenate(mass), np.concatenate(fine))
    return torch.from_numpy(np.asarray(found))


def between_nodes(
    lattice: Tensor, log_masses: Tensor, nodes: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Places between nodes for draws of nodes, one dimension after the other.

    Draws are put in the order of their nodes, at random within a node, and given the quantiles of the
    density between nodes in that order: each stays near its node, and with it near what was drawn with it.

    Args:
        lattice: Whole numbers of every node, shape ``(K, q)``.
        log_masses: Logarithms of the nodes' posterior masses, up to a constant, shape ``(K,)``.
        nodes: Node of every draw, shape ``(N,)``.
        weights: Weights of the draws, shape ``(N,)``; by default all alike.

    Returns:
        Coordinates on the lattice, shape ``(N, q)``.
    """
    weights = torch.ones(len(nodes), dtype=torch.float64) if weights is None else weights
    lattice = lattice.double()
    found = lattice[nodes].clone()
    waiting = [(0, torch.arange(len(nodes)), torch.arange(len(lattice)))]
    while waiting:
        axis, draws, own = waiting.pop()
        if axis == lattice.shape[1] or not len(draws):
            continue
        places, which = torch.unique(lattice[own, axis], return_inverse=True)
        masses = torch.stack([log_masses[own[which == index]].logsumexp(0) for index in range(len(places))])
        draws = draws[torch.randperm(len(draws))]
        at = lattice[nodes[draws], axis]
        order = torch.argsort(at, stable=True)
        weight = weights[draws[order]]
        shares = (weight.cumsum(0) - 0.5 * weight) / weight.sum()
        found[draws[order], axis] = quantiles_between(places, masses, shares)
        for index, place in enumerate(places):
            waiting.append((axis + 1, draws[at == place], own[which == index]))
    return found
