r"""Gates of a variational selection: a gate family in all restarts, and the gradient of binary gates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import transform_to

from l0bayes import validate
from l0bayes.distributions import BernoulliGate, GateLaw
from l0bayes.gate_families import GATE_FAMILIES, GateFamily
from l0bayes.infer.objectives.gate_gradients import DisARM
from l0bayes.selection.kernels.mean_field import Factors
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem

__all__ = ["Relaxation", "binary_log_likelihood", "relaxation_of", "selection_gate_laws"]


# Shapes of a hard Kumaraswamy that is colder reach beyond exp(80) where gates start nearly shut.
_COLDEST = 0.1


def selection_gate_laws() -> list[str]:
    """Names of the gate families whose gates have a probability each, so that they can select."""
    return [name for name, family in GATE_FAMILIES.items() if not family.tied]


def relaxation_of(gate_law: str, hot: float, cold: float) -> Relaxation:
    """A gate family as a selection takes it.

    A family that learns how sharp it is cannot be cooled. It starts in the middle, at the geometric mean of
    the two temperatures or at 0.1: from a hotter start it does not get sharp enough.

    Args:
        gate_law: Name of the family.
        hot: Temperature at the start.
        cold: Temperature at the end.

    Raises:
        ValueError: If there is no such family, or it has no probability of its own for each gate.
    """
    validate.one_of(selection_gate_laws(), " for the engine 'svi'", gate_law=gate_law)
    family = GATE_FAMILIES[gate_law]
    return Relaxation(family, hot if family.has_temperature else max(_COLDEST, math.sqrt(hot * cold)))


@dataclass(frozen=True)
class Relaxation:
    r"""A gate family with all its parameters in one row, to be trained while the temperature falls.

    Where :math:`s(\ell, \beta)` are the family's parameters at the activity logit :math:`\ell`, a gate is
    at :math:`\varphi + s(0, \beta)`, with :math:`\varphi` trained. So an undecided gate keeps its activity as
    the temperature falls, and in families where :math:`\ell` and :math:`\beta` enter s apart, as in the hard
    concrete, every gate does.

    Args:
        family: The family.
        temperature: :math:`\beta` at the start.
    """

    family: GateFamily
    temperature: float

    def start(self, logits: Tensor) -> Tensor:
        """Trained values at the start.

        Args:
            logits: Activity logits, shape ``(R, G)``.

        Returns:
            Shape ``(R, m G)`` for a family of m parameters.
        """
        found = self._unbounded(self.family.start_at(logits, self.temperature))
        undecided = self._undecided(logits.new_tensor(self.temperature))
        return torch.cat([value - undecided.get(name, 0.0) for name, value in found.items()], -1)

    def law(self, trained: Tensor, temperature: Tensor) -> GateLaw:
        """The law of ``(R, G)`` gates.

        Args:
            trained: Trained values, shape ``(R, m G)``.
            temperature: The temperature now, a scalar.
        """
        parameters = self.family.parameters
        undecided = self._undecided(temperature)
        values = {
            one.name: transform_to(one.constraint)(value + undecided.get(one.name, 0.0))
            for one, value in zip(parameters, trained.chunk(len(parameters), -1), strict=True)
        }
        return self.family.law_of(values, temperature)

    def _undecided(self, temperature: Tensor) -> dict[str, Tensor]:
        """Where gates of activity ½ are at a temperature; nothing for a family without one."""
        if not self.family.has_temperature:
            return {}
        return self._unbounded(self.family.start_at(temperature.new_zeros(()), temperature))

    def _unbounded(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            one.name: transform_to(one.constraint).inv(values[one.name]) for one in self.family.parameters
        }


def binary_log_likelihood(problem: GeneralisedProblem, factors: Factors, particles: int) -> Tensor:
    r"""Unbiased estimate of an expected log likelihood under binary gates, in its value and its gradient.

    About the mean predictor :math:`m = E_q[\eta]`, held fixed, log p is a quadratic Q and a rest,

    .. math:: Q(\eta) = \sum_i w_i \bigl[\ell'_i(m_i)\,(\eta_i - m_i)
        + \tfrac12 \ell''_i(m_i)\,(\eta_i - m_i)^2\bigr],

    The expectation of Q has a closed form, by

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
