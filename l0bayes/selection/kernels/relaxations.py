r"""Gate families of a variational selection, and the gradient of those whose draws have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.distributions import (
    BernoulliGate,
    BinaryConcrete,
    GateLaw,
    HardConcrete,
    HardKumaraswamy,
    RectifiedNormal,
)
from l0bayes.distributions.hard_kumaraswamy import shapes_for
from l0bayes.infer.objectives.gate_gradients import DisARM
from l0bayes.selection.kernels.mean_field import Factors
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem

__all__ = ["RELAXATIONS", "Relaxation", "binary_log_likelihood"]

# Slope of the logistic against that of the Normal distribution function, at the middle.
_SLOPE = 0.627


@dataclass(frozen=True)
class Relaxation:
    """A family of gate laws, each with a probability of its own for every gate.

    Attributes:
        law: From parameters, shape ``(R, m G)``, and a temperature to the law of ``(R, G)`` gates.
        start: From logits of the activity, shape ``(R, G)``, to parameters.
    """

    law: Callable[[Tensor, Tensor], GateLaw]
    start: Callable[[Tensor], Tensor]


def _hard_concrete(logits: Tensor, temperature: Tensor) -> GateLaw:
    # By its activity, which then stays when the temperature falls.
    shift = HardConcrete(torch.zeros_like(temperature), temperature).activity_logits
    return HardConcrete(logits - shift, temperature)


def _concrete(logits: Tensor, temperature: Tensor) -> GateLaw:
    return BinaryConcrete(logits, temperature)


def _bernoulli(logits: Tensor, temperature: Tensor) -> GateLaw:
    """Nothing is relaxed: the temperature says nothing here."""
    return BernoulliGate(logits)


def _rectified_normal(logits: Tensor, temperature: Tensor) -> GateLaw:
    return RectifiedNormal(logits * (_SLOPE * temperature), temperature)


def _hard_kumaraswamy(parameters: Tensor, temperature: Tensor) -> GateLaw:
    """Its sharpness is a parameter: the temperature says nothing here."""
    log_a, log_b = parameters.chunk(2, -1)
    return HardKumaraswamy(log_a, log_b)


def _shapes(logits: Tensor) -> Tensor:
    log_a, log_b = shapes_for(0.5, 0.25)
    return torch.cat([log_a + 0.3 * logits, torch.full_like(logits, log_b)], -1)


RELAXATIONS: dict[str, Relaxation] = {
    "hard_concrete": Relaxation(_hard_concrete, lambda logits: logits),
    "concrete": Relaxation(_concrete, lambda logits: logits),
    "rectified_normal": Relaxation(_rectified_normal, lambda logits: logits),
    "hard_kumaraswamy": Relaxation(_hard_kumaraswamy, _shapes),
    "bernoulli": Relaxation(_bernoulli, lambda logits: logits),
}
"""The families by name."""


def binary_log_likelihood(problem: GeneralisedProblem, factors: Factors, particles: int) -> Tensor:
    r"""Unbiased estimate of an expected log likelihood under binary gates, in its value and its gradient.

    About the mean predictor :math:`m = E_q[\eta]`, held fixed, log p is a quadratic Q and a rest,

    .. math:: Q(\eta) = \sum_i w_i \bigl[\ell'_i(m_i)\,(\eta_i - m_i)
        + \tfrac12 \ell''_i(m_i)\,(\eta_i - m_i)^2\bigr],

    of which Q has its expectation in closed form, by

    .. math:: \operatorname{Var} \eta_i = \sum_k u_{ik}^2 c_k^2 + \sum_j x_{ij}^2 q_{g(j)} v_j^2
        + \sum_g q_g (1 - q_g) \Bigl(\sum_{j: g(j) = g} x_{ij} m_j\Bigr)^2.

    The rest is drawn at pairs of antithetic gates: it is differentiated through the coefficients by their
    draws and through the gates by :class:`~l0bayes.infer.DisARM`, whose variance, which grows with the
    number of gates, is then that of third-order terms.

    Args:
        problem: The problem.
        factors: The posteriors.
        particles: Number of pairs.

    Returns:
        Shape ``(R,)``.
    """
    logits, mean, groups = factors.logits, factors.mean, problem.groups
    probability = torch.sigmoid(logits)
    q = probability[:, groups]
    expected = problem.offset + factors.unpenalised_mean @ problem.unpenalised.T + (q * mean) @ problem.x.T
    center = expected.detach()
    _, first, second = problem.likelihood.derivatives(problem.y, center, 2)
    first, second = problem.weights * first, problem.weights * second
    spread = factors.unpenalised_sd.square() @ problem.unpenalised.T.square()
    spread = spread + (q * factors.sd.square()) @ problem.x.T.square()
    if logits.shape[1] == mean.shape[1]:
        spread = spread + (q * (1.0 - q) * mean.square()) @ problem.x.T.square()
    else:
        moved = torch.zeros(len(mean), problem.num_rows, logits.shape[1], dtype=mean.dtype)
        moved = moved.index_add(2, groups, mean[:, None, :] * problem.x)
        spread = spread + (moved.square() @ (probability * (1.0 - probability))[..., None])[..., 0]
    closed = (first * (expected - center) + 0.5 * second * spread).sum(1)

    slabs = mean + factors.sd * torch.randn(particles, *mean.shape, dtype=mean.dtype)
    unpenalised = torch.randn(particles, *factors.unpenalised_mean.shape, dtype=mean.dtype)
    fixed = (
        problem.offset
        + (factors.unpenalised_mean + factors.unpenalised_sd * unpenalised) @ problem.unpenalised.T
    )

    def rest(gates: Tensor) -> Tensor:
        eta = fixed + (gates[..., groups] * slabs) @ problem.x.T
        value, slope = problem.likelihood.derivatives(problem.y, eta.detach(), 1)
        away = eta - center
        quadratic = (away * (first + 0.5 * second * away)).sum(-1)
        return (value + slope * (eta - eta.detach())) @ problem.weights - quadratic

    estimator, at = DisARM(), logits.detach()
    gates = BernoulliGate(at).sample((particles,))
    pair = [gates, *estimator.companions(at, gates)]
    values = [rest(one) for one in pair]
    gradient = estimator.gradient(at, pair, [value.detach()[..., None] for value in values])
    score = (gradient * (logits - at)).sum(-1)
    return closed + (0.5 * (values[0] + values[1]) + score).mean(0)
