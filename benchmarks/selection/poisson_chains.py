r"""Chains on Poisson regressions.

The state is (γ, β). For a column j, with all other coefficients given, a law with a Bernoulli
gate and a Normal coefficient is proposed, from the mode and curvature in :math:`\beta_j` alone, and accepted
by Metropolis and Hastings; exchanges propose a correlated column in the place of one of the model's. The
proposals do not depend on what stands in the place of j, so that the chain is exact whatever they are.

Conditional probabilities of gates are by Gauss-Hermite quadrature in the one coefficient.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.selection.records import Array

__all__ = ["PoissonChains"]

_NEWTON_STEPS = 4
_QUADRATURE = np.polynomial.hermite.hermgauss(7)


class PoissonChains:
    """Metropolis within Gibbs on gates and coefficients.

    Args:
        x: Columns, of shape (n, p).
        y: Counts.
        slab: Standard deviation of a coefficient that is in.
        inclusion: Prior inclusion probability.
        chains: Number of chains.
        swaps: Exchanges a sweep.
        seed: Seed.
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        slab: float,
        inclusion: float,
        chains: int = 64,
        swaps: int = 40,
        seed: int = 0,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.columns, self.y = np.ascontiguousarray(x.T), y
        self.slab, self.swaps = slab, swaps
        self.offset = math.log(inclusion / (1.0 - inclusion))
        self.gates = self.rng.random((chains, x.shape[1])) < inclusion
        self.beta = np.zeros(self.gates.shape)
        self.eta = np.zeros((chains, len(y)))
        likeness = np.abs(np.corrcoef(x.T)) ** 4 + 1.0 / x.shape[1]
        np.fill_diagonal(likeness, 0.0)
        self.partners = likeness / likeness.sum(1, keepdims=True)

    def sweep(self) -> Array:
        """Go on by one sweep."""
        probability = np.empty(self.beta.shape)
        self.eta = self.beta @ self.columns
        for j in self.rng.permutation(len(self.columns)).tolist():
            probability[:, j] = self._visit(j)
        for _ in range(self.swaps):
            self._swap()
        return probability

    def _visit(self, j: int) -> Array:
        """Draw a gate and its coefficient anew in all chains; the gate's conditional probability."""
        column, old, was = self.columns[j], self.beta[:, j], self.gates[:, j]
        base = self.eta - old[:, None] * column
        rate = np.exp(base)
        mode, scale = self._mode(rate, column)
        log_odds = self.offset + self._log_integral(rate, column, mode, scale)
        inside = 1.0 / (1.0 + np.exp(-log_odds.clip(-700.0, 700.0)))
        gate = self.rng.random(len(old)) < inside
        new = np.where(gate, mode + scale * self.rng.normal(size=len(old)), 0.0)
        # What a state weighs: how much likelier it is than proposed, up to a constant of the chain.
        value = np.stack([old, new])
        weight = self.offset + self._log_ratio(rate, column, value) - _log_normal(value, mode, scale)
        weight = np.where(np.stack([was, gate]), weight - log_odds, 0.0)
        accepted = np.log(self.rng.random(len(old))) < weight[1] - weight[0]
        self.gates[:, j] = np.where(accepted, gate, was)
        self.beta[:, j] = np.where(accepted, new, old)
        self.eta = base + self.beta[:, j, None] * column
        return np.asarray(inside)

    def _swap(self) -> None:
        """Propose, in every chain, a column in the place of one of its model's."""
        chains = np.flatnonzero(self.gates.any(axis=1))
        if not len(chains):
            return
        # The largest of uniform keys: a random one of the columns that are in.
        out = (self.rng.random((len(chains), self.gates.shape[1])) * self.gates[chains]).argmax(1)
        chance = self.partners[out].cumsum(1)
        into = (chance < self.rng.random(len(chains))[:, None]).sum(1).clip(max=chance.shape[1] - 1)
        free = ~self.gates[chains, into]
        chains, out, into = chains[free], out[free], into[free]
        old = self.beta[chains, out]
        base = self.eta[chains] - old[:, None] * self.columns[out]
        rate = np.exp(base)
        mode, scale = self._mode(rate, self.columns[into])
        new = mode + scale * self.rng.normal(size=len(chains))
        gain = self._log_ratio(rate, self.columns[into], new) - _log_normal(new, mode, scale)
        back = self._mode(rate, self.columns[out])
        gain -= self._log_ratio(rate, self.columns[out], old) - _log_normal(old, *back)
        gain += np.log(self.partners[into, out] / self.partners[out, into])
        accepted = np.log(self.rng.random(len(chains))) < gain
        chains, out, into, new = chains[accepted], out[accepted], into[accepted], new[accepted]
        self.gates[chains, out], self.gates[chains, into] = False, True
        self.beta[chains, out], self.beta[chains, into] = 0.0, new
        self.eta[chains] = base[accepted] + new[:, None] * self.columns[into]

    def _mode(self, rate: Array, column: Array) -> tuple[Array, Array]:
        """About the mode of one coefficient, all others given, and the spread that fits there."""
        ridge, moment = self.slab**-2, (self.y * column).sum(-1)
        mode, now = np.zeros(len(rate)), rate
        for step in range(_NEWTON_STEPS + 1):
            weighted = now * column
            curvature = (weighted * column).sum(-1) + ridge
            if step == _NEWTON_STEPS:
                break
            move = (moment - weighted.sum(-1) - ridge * mode) / curvature
            mode = mode + move.clip(-1.0, 1.0)
            now = rate * np.exp(mode[:, None] * column)
        return mode, 1.0 / np.sqrt(curvature)

    def _log_ratio(self, rate: Array, column: Array, value: Array) -> Array:
        """Log likelihood with a coefficient over that without it, and the slab's log density.

        Args:
            rate: Rates without the coefficient.
            column: Its column, or one a chain.
            value: The coefficient, with any axes in front.
        """
        change = value * (self.y * column).sum(-1) - (rate * np.expm1(value[..., None] * column)).sum(-1)
        return np.asarray(change + _log_normal(value, 0.0, self.slab))

    def _log_integral(self, rate: Array, column: Array, mode: Array, scale: Array) -> Array:
        """Logarithm of what :meth:`_log_ratio` integrates to, by quadrature about the mode."""
        at, weights = _QUADRATURE
        value = mode + math.sqrt(2.0) * scale * at[:, None]
        logs = self._log_ratio(rate, column, value) + (np.log(weights) + at**2)[:, None]
        top = logs.max(0)
        return np.asarray(top + np.log(np.exp(logs - top).sum(0)) + np.log(math.sqrt(2.0) * scale))


def _log_normal(value: Array, mean: Array | float, scale: Array | float) -> Array:
    return np.asarray(-0.5 * ((value - mean) / scale) ** 2 - np.log(scale) - 0.5 * math.log(2.0 * math.pi))
