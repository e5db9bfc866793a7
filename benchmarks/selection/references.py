r"""References that know nothing of the library: every model in turn.

**Linear.** With :math:`D_z` diagonal with the gates on it, :math:`M_z = D_z X'X D_z / \sigma^2 + D_z / s^2`
and ones on the diagonal for columns that are out, every model of a chunk has a Cholesky factor of one
size. Nothing is shared between models, and an unknown variance is integrated over
:math:`t = \log\sigma^2` by the trapezoid rule.

**Generalised.** The evidence of every model by importance sampling, with a Student-t proposal at its mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from benchmarks.selection.records import Array

__all__ = [
    "Enumeration",
    "Nodes",
    "enumerate_densely",
    "importance_evidences",
    "importance_pips",
    "known_noise",
    "nodes_around",
    "prior_by_size",
    "unknown_noise",
]

_CHUNK = 32_768
_DEGREES = 5.0


@dataclass(frozen=True)
class Nodes:
    """Noise variances at which models are looked at.

    Attributes:
        variances: The variances.
        log_weights: Logarithms of what each counts for: prior density times width.
    """

    variances: Array
    log_weights: Array


@dataclass(frozen=True)
class Enumeration:
    """The posterior, all models enumerated.

    Attributes:
        log_evidence: log p(y), in nats.
        pip: Inclusion probabilities.
        mean: Posterior means of the coefficients.
        node_shares: Posterior probability of every node of the noise.
    """

    log_evidence: float
    pip: Array
    mean: Array
    node_shares: Array

    @property
    def edge(self) -> float:
        """The larger share of the two outer nodes: what the grid may have cut off."""
        return float(max(self.node_shares[0], self.node_shares[-1])) if len(self.node_shares) > 1 else 0.0


def known_noise(scale: float) -> Nodes:
    """One node.

    Args:
        scale: Standard deviation of the noise.
    """
    return Nodes(np.array([scale**2]), np.zeros(1))


def unknown_noise(low: float = -6.0, high: float = 8.0, count: int = 121) -> Nodes:
    """Trapezoid rule over the log variance, under InverseGamma(1, 1).

    Args:
        low: Smallest log variance.
        high: Largest.
        count: Number of nodes.
    """
    t = np.linspace(low, high, count)
    weights = -t - np.exp(-t) + math.log(t[1] - t[0])
    weights[[0, -1]] -= math.log(2.0)
    return Nodes(np.exp(t), weights)


def nodes_around(pilot: Enumeration, nodes: Nodes, count: int = 31, width: float = 8.0) -> Nodes:
    """Trapezoid rule about the noise that a smaller model found.

    Args:
        pilot: What the smaller model found.
        nodes: On which nodes.
        count: Number of nodes.
        width: Standard deviations on either side.
    """
    t = np.log(nodes.variances)
    center = float(pilot.node_shares @ t)
    spread = math.sqrt(float(pilot.node_shares @ (t - center) ** 2))
    return unknown_noise(center - width * spread, center + width * spread, count)


def prior_by_size(inclusion: float | tuple[float, float], columns: int) -> Array:
    """Log prior probability of one model of each size, from 0 to all columns.

    Args:
        inclusion: π, or a and b of π ~ Beta(a, b).
        columns: Number of columns.
    """
    sizes = range(columns + 1)
    if not isinstance(inclusion, tuple):
        return np.array([k * math.log(inclusion) + (columns - k) * math.log1p(-inclusion) for k in sizes])
    a, b = inclusion
    return np.array([_log_beta(a + k, b + columns - k) - _log_beta(a, b) for k in sizes])


def enumerate_densely(
    x: Array, y: Array, slab: float, nodes: Nodes, by_size: Array, chunk: int = _CHUNK
) -> Enumeration:
    """Evidence, PIPs and means by a Cholesky factorisation of every model at every noise.

    Args:
        x: Columns, to about 20.
        y: Response.
        slab: Standard deviation of a coefficient that is in.
        nodes: Noise.
        by_size: Log prior of a model of each size.
        chunk: Models that are in memory at a time; the default takes about half a gigabyte at 20 columns.
    """
    gram, cross, square = torch.tensor(x.T @ x), torch.tensor(x.T @ y), float(y @ y)
    sums = _Sums(x.shape[1], len(nodes.variances))
    for mask in _masks(x.shape[1], chunk):
        prior = torch.tensor(by_size)[mask.sum(1).long()]
        both = mask[:, :, None] * mask[:, None, :]
        for node, variance in enumerate(nodes.variances.tolist()):
            log, mean = _fit_all(both, mask, gram / variance, cross / variance, slab)
            base = -0.5 * len(y) * math.log(2.0 * math.pi * variance) - 0.5 * square / variance
            sums.add(log + prior + (base + nodes.log_weights[node]), mask, mean, node)
    return sums.result()


def importance_pips(
    kind: str, x: Array, y: Array, slab: float, inclusion: float, draws: int, seed: int
) -> Array:
    """Inclusion probabilities of a GLM, from the evidence of every model.

    Args:
        kind: ``"logistic"`` or ``"poisson"``.
        x: Columns, to about 10.
        y: Response.
        slab: Standard deviation of a coefficient that is in.
        inclusion: Prior inclusion probability.
        draws: Draws a model.
        seed: Seed.
    """
    logs, models = importance_evidences(kind, x, y, slab, draws, seed)
    logs = logs + models.sum(1) * math.log(inclusion / (1.0 - inclusion))
    weight = np.exp(logs - logs.max())
    return np.asarray(weight / weight.sum() @ models)


def importance_evidences(
    kind: str, x: Array, y: Array, slab: float, draws: int, seed: int
) -> tuple[Array, Array]:
    """Log evidence of every model of a GLM without intercept, and the models as zeros and ones.

    Args:
        kind: ``"logistic"`` or ``"poisson"``.
        x: Columns, to about 10.
        y: Response.
        slab: Standard deviation of a coefficient that is in.
        draws: Draws a model.
        seed: Seed.
    """
    rng = np.random.default_rng(seed)
    models = np.concatenate([mask.numpy() for mask in _masks(x.shape[1], _CHUNK)])
    logs = [_evidence(kind, x[:, model.astype(bool)], y, slab, draws, rng) for model in models]
    return np.array(logs), models


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _masks(columns: int, chunk: int) -> Iterator[Tensor]:
    """All models as zeros and ones, a chunk at a time."""
    for begin in range(0, 2**columns, chunk):
        numbers = torch.arange(begin, min(begin + chunk, 2**columns))
        yield ((numbers[:, None] >> torch.arange(columns)) & 1).double()


def _fit_all(both: Tensor, mask: Tensor, gram: Tensor, cross: Tensor, slab: float) -> tuple[Tensor, Tensor]:
    """Log likelihood ratio to the empty model and posterior mean, of every model of a chunk."""
    matrix = both * gram
    matrix.diagonal(dim1=1, dim2=2).add_(mask / slab**2 + (1.0 - mask))
    root = torch.linalg.cholesky(matrix)
    white = torch.linalg.solve_triangular(root, (mask * cross)[..., None], upper=False)
    mean = torch.linalg.solve_triangular(root.mT, white, upper=True)[..., 0]
    log_det = root.diagonal(dim1=1, dim2=2).log().sum(1)
    return 0.5 * white[..., 0].square().sum(1) - log_det - mask.sum(1) * math.log(slab), mean


@dataclass
class _Sums:
    """Sums over models that are weighted by exp(log - top), with the largest log so far as top."""

    columns: int
    count: int
    top: float = -math.inf
    pip: Tensor = field(init=False)
    mean: Tensor = field(init=False)
    nodes: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.pip = torch.zeros(self.columns, dtype=torch.float64)
        self.mean = torch.zeros_like(self.pip)
        self.nodes = torch.zeros(self.count, dtype=torch.float64)

    def add(self, log: Tensor, mask: Tensor, mean: Tensor, node: int) -> None:
        """Take in the models of a chunk at one noise."""
        top = max(self.top, float(log.max()))
        for total in (self.pip, self.mean, self.nodes):
            total *= math.exp(self.top - top)
        self.top = top
        weight = (log - top).exp()
        self.pip += weight @ mask
        self.mean += weight @ mean
        self.nodes[node] += weight.sum()

    def result(self) -> Enumeration:
        """The posterior."""
        total = self.nodes.sum()
        parts = [(part / total).numpy() for part in (self.pip, self.mean, self.nodes)]
        return Enumeration(self.top + math.log(float(total)), *parts)


def _evidence(kind: str, x: Array, y: Array, slab: float, draws: int, rng: np.random.Generator) -> float:
    """Log evidence of one model."""
    k = x.shape[1]
    if not k:
        return float(_log_likelihood(kind, y, np.zeros((1, len(y))))[0])
    mode, hessian = _mode(kind, x, y, slab)
    root = np.linalg.cholesky(np.linalg.inv(hessian))
    chi = rng.chisquare(_DEGREES, size=draws) / _DEGREES
    standard = rng.normal(size=(draws, k)) / np.sqrt(chi)[:, None]
    theta = mode + standard @ root.T
    log_q = math.lgamma((_DEGREES + k) / 2) - math.lgamma(_DEGREES / 2) - np.log(np.diag(root)).sum()
    log_q = log_q - 0.5 * k * math.log(_DEGREES * math.pi)
    log_q = log_q - 0.5 * (_DEGREES + k) * np.log1p((standard**2).sum(1) / _DEGREES)
    log_p = _log_likelihood(kind, y, theta @ x.T) - 0.5 * (theta**2).sum(1) / slab**2
    ratio = log_p - 0.5 * k * math.log(2.0 * math.pi * slab**2) - log_q
    return float(ratio.max() + math.log(np.exp(ratio - ratio.max()).mean()))


def _log_likelihood(kind: str, y: Array, eta: Array) -> Array:
    """Log likelihood at linear predictors of shape (draws, n)."""
    if kind == "logistic":
        return np.asarray((y * eta - np.logaddexp(0.0, eta)).sum(-1))
    return np.asarray((y * eta - np.exp(eta)).sum(-1) - sum(math.lgamma(v + 1.0) for v in y))


def _mode(kind: str, x: Array, y: Array, slab: float) -> tuple[Array, Array]:
    """Posterior mode of a model's coefficients by Newton's method, and the negative Hessian there."""
    mode = np.zeros(x.shape[1])
    for _ in range(50):
        eta = x @ mode
        rate = 1.0 / (1.0 + np.exp(-eta)) if kind == "logistic" else np.exp(np.clip(eta, -30, 30))
        weight = rate * (1.0 - rate) if kind == "logistic" else rate
        hessian = x.T @ (x * weight[:, None]) + np.eye(len(mode)) / slab**2
        step = np.linalg.solve(hessian, x.T @ (y - rate) - mode / slab**2)
        mode = mode + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return mode, hessian
