r"""Long chains on the 64 terms of the demo, in NumPy and with nothing of the library's engines.

The model of :class:`l0bayes.models.SparseRegression` with ``expected_active=5`` and ``slab_scale=0.5``:

.. math::
    \gamma_j \sim \mathrm{Bern}(5/64), \quad \theta_j \sim N(0, 0.5^2), \quad a \sim N(0, 10^2), \quad
    \sigma^2 \sim \mathrm{InvGamma}(0.005, 0.0025), \quad y \sim N(a + X(\gamma\theta), \sigma^2).

A sweep draws each gate in random order from its conditional probability given the other gates and σ², with
all coefficients integrated out; exchanges one column of the model for another by Metropolis and Hastings; and
draws the coefficients and then σ² from their conditional laws. Inclusion probabilities are averages of the
gates' conditional probabilities, and their standard errors come from the spread between the chains.

``python -m benchmarks.selection.diabetes`` writes ``l0bayes/apps/demo/long_chains.json``; ten minutes.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.selection.records import Array
from l0bayes import datasets

__all__ = ["Chain", "main"]

Gates = NDArray[np.bool_]

_SLAB, _INTERCEPT, _ACTIVE, _SHAPE, _RATE = 0.5, 10.0, 5.0, 0.005, 0.0025
_OUT = Path(__file__).resolve().parents[2] / "l0bayes" / "apps" / "demo" / "long_chains.json"


class Chain:
    """One chain.

    Args:
        x: Columns, of shape (n, p).
        y: Response.
        seed: Seed; also of the model that the chain starts from.
        active: Number of columns that the prior expects to be in.
    """

    def __init__(self, x: Array, y: Array, seed: int, active: float = _ACTIVE) -> None:
        self._rng = np.random.default_rng(seed)
        self._x, self._y = np.column_stack([x, np.ones(len(y))]), y
        self._gram, self._cross = self._x.T @ self._x, self._x.T @ y
        self._columns = x.shape[1]
        self._precision = np.append(np.full(self._columns, _SLAB**-2), _INTERCEPT**-2)
        self._log_odds = math.log(active / (self._columns - active))
        self._variance = float(y.var())
        self.open: Gates = np.asarray(self._rng.random(self._columns) < 0.15)

    def sweep(self) -> Array:
        """Go on by one sweep; the conditional probability of every gate when it was drawn, shape (p,)."""
        found = np.empty(self._columns)
        for column in self._rng.permutation(self._columns):
            trial = self.open.copy()
            trial[column] = True
            with_it = self._log_weight(trial)
            trial[column] = False
            found[column] = 1.0 / (1.0 + math.exp(min(self._log_weight(trial) - with_it, 700.0)))
            self.open[column] = self._rng.random() < found[column]
        for _ in range(4):
            self._exchange()
        self._draw_variance()
        return found

    def _exchange(self) -> None:
        inside, outside = np.flatnonzero(self.open), np.flatnonzero(~self.open)
        if len(inside) and len(outside):
            trial = self.open.copy()
            trial[[self._rng.choice(inside), self._rng.choice(outside)]] = False, True
            if math.log(self._rng.random()) < self._log_weight(trial) - self._log_weight(self.open):
                self.open = trial

    def _system(self, gates: Gates) -> tuple[Array, Array, Array]:
        """Columns of a model, the Cholesky factor of its precision, and the whitened moment."""
        chosen = np.append(np.flatnonzero(gates), self._columns)
        matrix = self._gram[np.ix_(chosen, chosen)] / self._variance + np.diag(self._precision[chosen])
        root = np.linalg.cholesky(matrix)
        return chosen, root, np.linalg.solve(root, self._cross[chosen] / self._variance)

    def _log_weight(self, gates: Gates) -> float:
        """Log posterior of a model given σ², up to a constant."""
        chosen, root, white = self._system(gates)
        prior = 0.5 * np.log(self._precision[chosen]).sum() + (len(chosen) - 1) * self._log_odds
        return float(0.5 * white @ white - np.log(np.diag(root)).sum() + prior)

    def _draw_variance(self) -> None:
        chosen, root, white = self._system(self.open)
        theta = np.linalg.solve(root.T, white + self._rng.normal(size=len(chosen)))
        residual = self._y - self._x[:, chosen] @ theta
        shape, rate = _SHAPE + 0.5 * len(self._y), _RATE + 0.5 * float(residual @ residual)
        self._variance = rate / self._rng.gamma(shape)


def main() -> None:
    """Run the chains and write what they found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.diabetes")
    parser.add_argument("--chains", type=int, default=32)
    parser.add_argument("--burn-in", type=int, default=200, help="sweeps left out at the start of each")
    parser.add_argument("--sweeps", type=int, default=1500, help="sweeps that count")
    parser.add_argument("--seed", type=int, default=0, help="of the first chain; others take the next ones")
    parser.add_argument("--out", type=Path, default=_OUT)
    options = parser.parse_args()
    chains, burn_in, sweeps, seed = options.chains, options.burn_in, options.sweeps, options.seed
    data = datasets.diabetes()
    x, y = data.x.double().numpy(), data.y.double().numpy()
    means = []
    for number in range(chains):
        chain = Chain(x, y, seed + number)
        for _ in range(burn_in):
            chain.sweep()
        means.append(np.mean([chain.sweep() for _ in range(sweeps)], axis=0))
    pip, se = np.mean(means, axis=0), np.std(means, axis=0, ddof=1) / math.sqrt(chains)
    record = {
        "command": "python -m benchmarks.selection.diabetes",
        "chains": chains,
        "burn_in": burn_in,
        "sweeps": sweeps,
        "seed": seed,
        "pip": {name: round(float(value), 5) for name, value in zip(data.names, pip, strict=True)},
        "standard_error": {name: round(float(value), 5) for name, value in zip(data.names, se, strict=True)},
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"largest standard error {se.max():.4f}")


if __name__ == "__main__":
    main()
