r"""All models of a problem with their probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from l0bayes.selection.kernels.laplace_accuracy import LaplaceAccuracy
from l0bayes.selection.problem.selection_posterior import ModelDraws
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["Enumeration"]


@dataclass(frozen=True)
class Enumeration:
    r"""Probabilities of all models, moments, and a sample.

    Attributes:
        probabilities: Of every model, shape ``(2**G,)``; model m has gate g where bit g of m is set.
        log_evidence: Log evidence of all models together.
        mean: :math:`E[\beta]`, shape ``(p,)``.
        second_moment: :math:`E[\beta^2]`, shape ``(p,)``.
        draws: A sample of models.
        noise_nodes: Number of nodes of the quadrature over an unknown noise; 0 without one.
        unpenalised_mean: Mean of the coefficients without a gate, shape ``(k,)``, where it is computed.
        laplace: Accuracy of evidences by Laplace's method; ``None`` where they are in closed form.
        refined: Number of models whose evidence has a second-order term of its own.
        scalar_nodes: Number of nodes of the quadrature over numbers that are learned; 0 without any.
        log_odds: Posterior log odds of every gate, shape ``(G,)``, where they are computed apart.
        problem: The problem with what all models together say of its prior, where they do.
    """

    probabilities: Tensor
    log_evidence: float
    mean: Tensor
    second_moment: Tensor
    draws: ModelDraws
    noise_nodes: int = 0
    unpenalised_mean: Tensor | None = None
    laplace: LaplaceAccuracy | None = None
    refined: int = 0
    scalar_nodes: int = 0
    log_odds: Tensor | None = None
    problem: SelectionProblem | None = None
