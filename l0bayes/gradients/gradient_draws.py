r"""Draws of a gradient for the gates: estimators on binary gates, paths through relaxed ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.distributions import GateLaw
from l0bayes.gradients.gate_problem import GateProblem
from l0bayes.infer.objectives.gate_gradients import GateGradient

__all__ = ["BinaryDraws", "GradientDraws", "PathwiseDraws", "Piece"]


class GradientDraws(ABC):
    r"""Independent draws of an estimate of :math:`\partial F / \partial \ell`."""

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """Evaluations of the model for one draw."""

    @abstractmethod
    def draw(self, count: int) -> Tensor:
        """Estimates of shape (count, G), from torch's global generator.

        Args:
            count: How many.
        """


class BinaryDraws(GradientDraws):
    r"""An unbiased estimator on binary gates; see :class:`~l0bayes.infer.GateGradient`.

    Args:
        problem: Likelihood and KL.
        estimator: The estimator.
    """

    def __init__(self, problem: GateProblem, estimator: GateGradient) -> None:
        self.problem, self.estimator = problem, estimator

    @property
    def evaluations(self) -> int:
        return self.estimator.num_evaluations

    def draw(self, count: int) -> Tensor:
        logits = self.problem.logits
        first = torch.bernoulli(logits.sigmoid().expand(count, -1))
        gates = [first, *self.estimator.companions(logits, first)]
        values = [self.problem.values(one)[:, None] for one in gates]
        return self.estimator.gradient(logits, gates, values) - self.problem.kl_gradient


@dataclass(frozen=True)
class Piece:
    """Gates that are drawn together.

    Attributes:
        first: Their first parameter, any shape.
        law: Their law as a function of it, elementwise, for any shape that ends in this one.
    """

    first: Tensor
    law: Callable[[Tensor], GateLaw]


class PathwiseDraws(GradientDraws):
    r"""The pathwise gradient through a relaxed law, in the coordinate of the activity logit.

    A gate :math:`z = z(u, \varphi)` depends on its own first parameter :math:`\varphi` alone, and so does its
    activity logit :math:`\ell(\varphi)`. With the family's other parameters held,

    .. math::
        \frac{\partial f(z)}{\partial z_j}\;\frac{\partial z_j}{\partial\varphi_j}\;
        \Bigl(\frac{\partial\ell_j}{\partial\varphi_j}\Bigr)^{-1},

    set to 0 for a gate so far decided that the last factor under- or overflows.

    Args:
        problem: Likelihood and KL.
        pieces: The laws of the gates, in the problem's order.
    """

    evaluations = 1

    def __init__(self, problem: GateProblem, pieces: Sequence[Piece]) -> None:
        self.problem, self.pieces = problem, tuple(pieces)
        slopes = [_slope(piece.law, piece.first, lambda law: law.activity_logits)[1] for piece in pieces]
        self._activity_slope = torch.cat([slope.reshape(-1) for slope in slopes])
        # False for gates so far decided that the slope rounds to 0 or overflows.
        self._moves = self._activity_slope.isfinite() & (self._activity_slope > 0.0)

    def draw(self, count: int) -> Tensor:
        gates, slopes = [], []
        for piece in self.pieces:
            first = piece.first.expand(count, *piece.first.shape)
            drawn, slope = _slope(piece.law, first, lambda law: law.rsample())
            gates.append(drawn.reshape(count, -1))
            slopes.append(slope.reshape(count, -1))
        by_parameter = self.problem.slopes(torch.cat(gates, -1)) * torch.cat(slopes, -1)
        likelihood = torch.where(self._moves, by_parameter / self._activity_slope, 0.0)
        return likelihood - self.problem.kl_gradient


def _slope(
    law: Callable[[Tensor], GateLaw], first: Tensor, read: Callable[[GateLaw], Tensor]
) -> tuple[Tensor, Tensor]:
    """A property of a law, elementwise, and its derivative in the law's first parameter."""
    with torch.enable_grad():
        leaf = first.detach().clone().requires_grad_()
        value = read(law(leaf))
        (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), slope
