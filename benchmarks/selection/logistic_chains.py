r"""Chains on logistic regressions, with coefficients integrated out.

Source: Polson, Scott and Windle 2013, JASA 108:1339. Given :math:`\omega_i \sim PG(1, \eta_i)` the
coefficients are Gaussian with precision :math:`Q = X'\Omega X + s^{-2} I` and moment
:math:`c = X'(y - 1/2)`, and are integrated out. For a column j, with the others' gates given,

.. math::
    \operatorname{logit} P(\gamma_j = 1) = \operatorname{logit}\pi - \log s - \tfrac12 \log d_j
        + \tfrac{r_j^2}{2 d_j}, \qquad
    d_j = Q_{jj} - Q_{jA} Q_{AA}^{-1} Q_{Aj}, \quad r_j = c_j - Q_{jA} Q_{AA}^{-1} c_A,

A being the other columns that are in. A sweep draws ω, each gate in random order, exchanges of a random
column of the model for another, which is drawn with its conditional probability, and last β.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmarks.selection.records import Array

__all__ = ["LogisticChains"]

Indices = NDArray[np.intp]


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
