r"""The posterior as engines give it: probabilities of gates, moments of coefficients, models, diagnostics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.verdict import Trust

__all__ = ["Diagnostics", "Evidence", "ModelDraws", "SelectionPosterior"]

Evidence = Literal["closed form", "laplace", "none"]
"""How the evidence of each model was computed; ``"none"`` where it was not."""


@dataclass(frozen=True)
class ModelDraws:
    r"""Models with their weights, as a sample of the posterior.

    Attributes:
        gates: Zeros and ones, shape ``(S, G)``.
        variances: Noise variance of each, shape ``(S,)``.
        weights: Weights that sum to 1, shape ``(S,)``.
        chains: Chain of each, shape ``(S,)``; all 0 where draws are independent.
        scalars: Numbers of the likelihood that are learned, shape ``(S, q)``; ``None`` where there are none.
    """

    gates: Tensor
    variances: Tensor
    weights: Tensor
    chains: Tensor
    scalars: Tensor | None = None

    def some(self, index: Tensor, weights: Tensor) -> ModelDraws:
        """Some of them, with other weights.

        Args:
            index: Which, any number of times.
            weights: Weights that sum to 1.
        """
        scalars = None if self.scalars is None else self.scalars[index]
        return ModelDraws(self.gates[index], self.variances[index], weights, self.chains[index], scalars)


class Diagnostics(ABC):
    """Signs of an engine's own error, and its verdict. Every engine has a frozen dataclass of its own.

    Attributes:
        method: The method in words, such as ``"all models were enumerated"``.
        remedy: What to do if the verdict is doubtful or wrong, for the warning; ``None`` for no warning.
        independent_gates: Whether gates are independent under the approximation, or under each component of
            a mixture; users are then warned of correlated columns.
    """

    method: ClassVar[str]
    remedy: ClassVar[str | None] = None
    independent_gates: ClassVar[bool] = False

    @property
    @abstractmethod
    def evidence(self) -> Evidence:
        """How the evidence of each model was computed."""

    @property
    def evidences_corrected(self) -> bool:
        """Whether evidences by a formula were found wrong and replaced, so that no table of them is right."""
        return False

    @abstractmethod
    def verdict(self, posterior: SelectionPosterior, *, seed: int = 0) -> Trust:
        """How far the inclusion probabilities can be trusted.

        Args:
            posterior: The posterior that these are the diagnostics of.
            seed: Seed of draws that the verdict may need.
        """


@dataclass(frozen=True)
class SelectionPosterior:
    r"""Posterior of a :class:`~l0bayes.selection.problem.selection_problem.SelectionProblem`, from an engine.

    Attributes:
        engine: ``"exact"``, ``"gibbs"``, ...
        problem: The problem.
        pip: :math:`P(\gamma_g = 1 \mid D)`, shape ``(G,)``.
        pip_mcse: Monte Carlo standard error of each; 0 where all models were enumerated, NaN where unknown.
        mean: :math:`E[\beta]` with zeros, shape ``(p,)``.
        second_moment: :math:`E[\beta^2]`, shape ``(p,)``.
        log_evidence: :math:`\log p(D)`; NaN where the engine does not give it.
        size_probabilities: Posterior of the number of open gates, shape ``(G + 1,)``.
        draws: A sample of models.
        diagnostics: Signs of the engine's own error.
        exact_joint: :math:`P(\gamma_g = \gamma_h = 1 \mid D)`, shape ``(G, G)``, where it is known exactly.
        unpenalised_mean: Posterior mean of the coefficients without a gate, shape ``(k,)``, where the engine
            gives it.
        exact_log_odds: :math:`\operatorname{logit} P(\gamma_g = 1 \mid D)`, shape ``(G,)``, where it is
            known to all its digits; of a probability near 1 they are lost.
    """

    engine: str
    problem: SelectionProblem
    pip: Tensor
    pip_mcse: Tensor
    mean: Tensor
    second_moment: Tensor
    log_evidence: float
    size_probabilities: Tensor
    draws: ModelDraws
    diagnostics: Diagnostics
    exact_joint: Tensor | None = None
    unpenalised_mean: Tensor | None = None
    exact_log_odds: Tensor | None = None

    @property
    def log_odds(self) -> Tensor:
        r""":math:`\operatorname{logit} P(\gamma_g = 1 \mid D)`, shape ``(G,)``; infinite at 0 and 1."""
        return torch.logit(self.pip.clamp(0.0, 1.0)) if self.exact_log_odds is None else self.exact_log_odds

    @property
    def joint(self) -> Tensor:
        r""":math:`P(\gamma_g = \gamma_h = 1 \mid D)`, shape ``(G, G)``; from the sample where not exact."""
        if self.exact_joint is not None:
            return self.exact_joint
        gates = self.draws.gates
        return gates.T @ (gates * self.draws.weights[:, None])

    @property
    def sd(self) -> Tensor:
        """Standard deviation of each coefficient, zeros included, shape ``(p,)``."""
        return (self.second_moment - self.mean.square()).clamp(min=0.0).sqrt()

    def __repr__(self) -> str:
        problem, size = self.problem, float(self.pip.sum())
        return (
            f"SelectionPosterior by engine {self.engine!r}: {problem.num_groups} gates, "
            f"{problem.num_columns} columns, {problem.num_rows} rows; {size:.1f} gates expected to be open"
        )
