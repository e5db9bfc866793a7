r"""References that integrate coefficients and learned numbers together, and know nothing of the library."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.selection.joint_evidence import Density, Prior, joint_evidence
from benchmarks.selection.records import Array

__all__ = ["Response", "joint_importance_pips", "response_of"]


@dataclass(frozen=True)
class Response:
    """A response under a likelihood.

    Attributes:
        kind: Name of the likelihood.
        y: Responses; of survival the times.
        beside: Trials, or events; empty elsewhere.
    """

    kind: str
    y: npt.NDArray[np.floating[Any]]
    beside: npt.NDArray[np.floating[Any]]


def response_of(
    kind: str, eta: Array, rng: np.random.Generator, noise_prior: tuple[float, float], drawn: bool = False
) -> Response:
    """Draw a response.

    Args:
        kind: Name of the likelihood.
        eta: Linear predictor.
        rng: Where draws come from.
        noise_prior: Shape and rate of the inverse gamma law of the variance of Student-t noise.
        drawn: Whether the numbers that are learned are drawn from their priors; else they are typical ones.
    """
    n, none = len(eta), np.zeros(0)
    if kind == "bernoulli":
        return Response(kind, (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))) * 1.0, none)
    if kind == "binomial":
        trials = rng.integers(1, 6, n)
        return Response(kind, rng.binomial(trials, 1.0 / (1.0 + np.exp(-eta))) * 1.0, trials * 1.0)
    if kind == "poisson":
        return Response(kind, rng.poisson(np.exp(np.minimum(eta, 12.0))) * 1.0, none)
    if kind == "negative_binomial":
        dispersion = max(1e-4, rng.exponential()) if drawn else 0.7
        rate = np.exp(np.minimum(eta, 12.0)) * rng.gamma(1.0 / dispersion, dispersion, n)
        return Response(kind, rng.poisson(rate) * 1.0, none)
    if kind == "student_t":
        variance = 1.0 / rng.gamma(noise_prior[0], 1.0 / noise_prior[1]) if drawn else 0.5
        degrees = rng.gamma(2.0, 10.0) if drawn else 3.0
        return Response(kind, eta + math.sqrt(variance) * rng.standard_t(degrees, n), none)
    time, lost = rng.exponential(np.exp(-eta)), rng.exponential(2.0, n)
    return Response(kind, np.minimum(time, lost), (time <= lost) * 1.0)


def joint_importance_pips(
    response: Response,
    x: Array,
    slab: float,
    inclusion: float,
    noise_prior: tuple[float, float],
    draws: int,
    seed: int,
) -> Array:
    """Inclusion probabilities from the evidence of every model.

    Args:
        response: The response.
        x: Columns, to about 10.
        slab: Standard deviation of a coefficient that is in.
        inclusion: Prior inclusion probability.
        noise_prior: As in :func:`response_of`.
        draws: Draws a model.
        seed: Seed.
    """
    likelihood, prior, start = _densities(response, noise_prior)
    columns, generator = torch.tensor(x), torch.Generator().manual_seed(seed)
    models = np.array(list(itertools.product([0.0, 1.0], repeat=x.shape[1])))
    logs = []
    for model in models:
        held = columns[:, torch.tensor(model > 0)]
        scale, offset = held.new_full((held.shape[1],), slab), held.new_zeros(len(held))
        logs.append(joint_evidence(likelihood, prior, start, held, scale, offset, draws, generator)[0])
    score = np.array(logs) + models.sum(1) * math.log(inclusion / (1.0 - inclusion))
    weight = np.exp(score - score.max())
    return np.asarray(weight / weight.sum() @ models)


def _densities(response: Response, noise_prior: tuple[float, float]) -> tuple[Density, Prior, Tensor]:
    """Log likelihood from predictors and logarithms of the numbers, log prior of these, and a start."""
    laws, y, beside = torch.distributions, torch.tensor(response.y), torch.tensor(response.beside)
    nothing = torch.zeros(0, dtype=torch.float64)

    def flat(t: Tensor) -> Tensor:
        return torch.zeros(t.shape[0], dtype=torch.float64)

    if response.kind == "negative_binomial":

        def counts(eta: Tensor, t: Tensor) -> Tensor:
            number = torch.exp(-t)
            found: Tensor = laws.NegativeBinomial(number, logits=eta + t).log_prob(y).sum(1)
            return found

        return counts, lambda t: t[:, 0] - t[:, 0].exp(), torch.tensor([-1.0], dtype=torch.float64)
    if response.kind == "student_t":
        variance = laws.InverseGamma(*torch.tensor(noise_prior, dtype=torch.float64))
        degrees = laws.Gamma(*torch.tensor([2.0, 0.1], dtype=torch.float64))

        def noise(eta: Tensor, t: Tensor) -> Tensor:
            found: Tensor = laws.StudentT(t[:, 1:].exp(), eta, (0.5 * t[:, :1]).exp()).log_prob(y).sum(1)
            return found

        def of_both(t: Tensor) -> Tensor:
            found: Tensor = variance.log_prob(t[:, 0].exp()) + degrees.log_prob(t[:, 1].exp()) + t.sum(1)
            return found

        return noise, of_both, torch.tensor([-0.5, 1.5], dtype=torch.float64)
    if response.kind == "cox":
        risk = (y[None] >= y[:, None]).double()[beside > 0]

        def partial(eta: Tensor, t: Tensor) -> Tensor:
            return eta[:, beside > 0].sum(1) - (eta.exp() @ risk.T).log().sum(1)

        return partial, flat, nothing
    if response.kind == "binomial":
        return lambda eta, t: laws.Binomial(beside, logits=eta).log_prob(y).sum(1), flat, nothing
    if response.kind == "poisson":
        return lambda eta, t: laws.Poisson(eta.exp()).log_prob(y).sum(1), flat, nothing
    return lambda eta, t: laws.Bernoulli(logits=eta).log_prob(y).sum(1), flat, nothing
