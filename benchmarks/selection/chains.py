r"""Long chains on GLMs of many columns, with the exact likelihood and nothing of the library.

No intercept, :math:`\beta_j = \gamma_j\theta_j`, :math:`\theta_j \sim N(0, s^2)`,
:math:`\gamma_j \sim \mathrm{Bern}(\pi)`. Both samplers run several chains and say the standard error of
every probability by the spread of the chains' means.

**Logistic** (Polson, Scott and Windle 2013, JASA 108:1339): given :math:`\omega_i \sim PG(1, \eta_i)` the
coefficients are Gaussian with precision :math:`Q = X'\Omega X + s^{-2} I` and moment
:math:`c = X'(y - 1/2)`, and are integrated out. For a column j, with the others' gates given,

.. math::
    \operatorname{logit} P(\gamma_j = 1) = \operatorname{logit}\pi - \log s - \tfrac12 \log d_j
        + \tfrac{r_j^2}{2 d_j}, \qquad
    d_j = Q_{jj} - Q_{jA} Q_{AA}^{-1} Q_{Aj}, \quad r_j = c_j - Q_{jA} Q_{AA}^{-1} c_A,

A being the other columns that are in. A sweep draws ω, each gate in random order, exchanges of a random
column of the model for another, which is drawn with its conditional probability, and last β.

**Poisson**: the state is (γ, β). For a column j, with all other coefficients given, a law with a Bernoulli
gate and a Normal coefficient is proposed, from the mode and curvature in :math:`\beta_j` alone, and accepted
by Metropolis and Hastings; exchanges propose a correlated column in the place of one of the model's. The
proposals do not depend on what stands in the place of j, so that the chain is exact whatever they are.

Probabilities are averages of each gate's conditional probability, for the Poisson by Gauss-Hermite quadrature
in the one coefficient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.selection.records import Array

__all__ = ["LogisticChains", "LongRun", "PoissonChains", "run_chains"]

Indices = NDArray[np.intp]
_NEWTON_STEPS = 4
_QUADRATURE = np.polynomial.hermite.hermgauss(7)


@dataclass(frozen=True)
class LongRun:
    """What chains found.

    Attributes:
        pip: Inclusion probabilities.
        se: Their standard errors, by the spread between chains.
        sweeps: Sweeps of each chain that count.
    """

    pip: Array
    se: Array
    sweeps: int


class Chains(Protocol):
    """Chains side by side."""

    def sweep(self) -> Array:
        """Go on by one sweep; the conditional probability of every gate, shape (chains, p)."""


def run_chains(
    chains: Chains, target: float = 0.003, burn_in: int = 200, most: int = 2000, check_every: int = 100
) -> LongRun:
    """Run until the largest standard error is small enough.

    Args:
        chains: The chains.
        target: Largest standard error to stop at.
        burn_in: Sweeps that are left out, at the start.
        most: Most sweeps that count.
        check_every: Sweeps between two looks at the error.
    """
    for _ in range(burn_in):
        chains.sweep()
    total = chains.sweep()
    for done in range(1, most + 1):
        means = total / done
        se = means.std(0, ddof=1) / math.sqrt(len(means))
        if done == most or (done % check_every == 0 and se.max() <= target):
            break
        total = total + chains.sweep()
    return LongRun(means.mean(0), se, done)


class LogisticChains:
    """Pólya-Gamma augmentation with coefficients integrated out of the gates' updates.

    Args:
        x: Columns, of shape (n, p).
        y: Zeros and ones.
        slab: Standard deviation of a coefficient that is in.
        inclusion: Prior inclusion probability.
        chains: Number of chains.
        swaps: Exchanges a sweep.
        seed: Seed.

    Raises:
        ImportError: Without ``polyagamma``.
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        slab: float,
        inclusion: float,
        chains: int = 32,
        swaps: int = 2,
        seed: int = 0,
    ) -> None:
        from polyagamma import random_polyagamma

        self._draw_omega = random_polyagamma
        self.rng = np.random.default_rng(seed)
        self.x, self.moment = x, x.T @ (y - 0.5)
        self.ridge, self.swaps = slab**-2, swaps
        self.offset = math.log(inclusion / (1.0 - inclusion)) - math.log(slab)
        self.gates = self.rng.random((chains, x.shape[1])) < inclusion
        self.beta = np.zeros(self.gates.shape)
        self.log_odds = np.zeros(self.gates.shape)

    def sweep(self) -> Array:
        """Go on by one sweep."""
        self._augment()
        probability = np.empty(self.beta.shape)
        for j in self.rng.permutation(self.x.shape[1]).tolist():
            inside = 1.0 / (1.0 + np.exp(-self.log_odds[:, j].clip(-700.0, 700.0)))
            probability[:, j] = inside
            turned = (self.rng.random(len(inside)) < inside) != self.gates[:, j]
            for chain in turned.nonzero()[0].tolist():
                self._turn(chain, j)
        for chain in range(len(self.beta)):
            for _ in range(self.swaps):
                self._swap(chain)
            self._draw_coefficients(chain)
        return probability

    def _augment(self) -> None:
        """Draw ω given β, and forget the rows of Q that belong to the last."""
        self.omega = self._draw_omega(1.0, self.beta @ self.x.T, random_state=self.rng)
        self.diagonal = self.omega @ self.x**2 + self.ridge
        self.rows: list[dict[int, Array]] = [{} for _ in self.omega]
        for chain in range(len(self.omega)):
            self._condition(chain)

    def _condition(self, chain: int) -> None:
        """Log odds of every gate of a chain, all the others given."""
        inside = self.gates[chain].nonzero()[0]
        precision, moment = self.diagonal[chain].copy(), self.moment.copy()
        if len(inside):
            rows, inverse, mean = self._model(chain, inside)
            precision -= (rows * (inverse @ rows)).sum(0)
            moment -= mean @ rows
            precision[inside] = 1.0 / inverse.diagonal()
            moment[inside] = mean * precision[inside]
        self.log_odds[chain] = self.offset - 0.5 * np.log(precision) + 0.5 * moment**2 / precision

    def _model(self, chain: int, inside: Indices) -> tuple[Array, Array, Array]:
        """Rows of Q that belong to a model, the covariance of its coefficients, and their mean."""
        known = self.rows[chain]
        missing = [j for j in inside.tolist() if j not in known]
        if missing:
            for j, row in zip(missing, (self.x[:, missing].T * self.omega[chain]) @ self.x, strict=True):
                row[j] += self.ridge
                known[j] = row
        rows = np.stack([known[j] for j in inside.tolist()])
        inverse = np.asarray(np.linalg.inv(rows[:, inside]), dtype=np.float64)
        return rows, inverse, np.asarray(inverse @ self.moment[inside])

    def _turn(self, chain: int, j: int) -> None:
        self.gates[chain, j] ^= True
        self._condition(chain)

    def _swap(self, chain: int) -> None:
        """Take a random column out, and put one in by its conditional probability; exact by reversibility."""
        inside = self.gates[chain].nonzero()[0]
        if not len(inside):
            return
        self._turn(chain, int(self.rng.choice(inside)))
        odds = np.where(self.gates[chain], -np.inf, self.log_odds[chain])
        weight = np.exp(odds - odds.max()).cumsum()
        self._turn(chain, int(np.searchsorted(weight, self.rng.random() * weight[-1], "right")))

    def _draw_coefficients(self, chain: int) -> None:
        inside = self.gates[chain].nonzero()[0]
        self.beta[chain] = 0.0
        if len(inside):
            _, inverse, mean = self._model(chain, inside)
            root = np.linalg.cholesky(inverse)
            self.beta[chain, inside] = mean + root @ self.rng.normal(size=len(inside))


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
