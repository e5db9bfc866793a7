r"""Data sets that are drawn from the prior of a problem, and what they were drawn with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from l0bayes.selection.calibrate.gate_draws import drawn_gates
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["Blocks", "DrawnTruth", "Intercept", "PriorDraws"]

Intercept = float | Literal["prior"] | None
"""Value of all coefficients without a gate, ``"prior"`` for draws, ``None`` for what suits the problem."""

Blocks = tuple[LevelBlock, ...]
"""Columns that stand for levels."""


@dataclass(frozen=True)
class DrawnTruth:
    r"""What a data set was drawn with.

    Attributes:
        gates: Zeros and ones, shape ``(G,)``.
        beta: Coefficients, zeros where a gate is shut, of levels their effects, shape ``(p,)``.
        variance: σ²; 1 where the response has no noise of its own.
        log_likelihood: Log density of the response; NaN where it has none that is known.
        y: The response, shape ``(n,)``.
        explained: Share of the response's variance that its predictor has; NaN where that means nothing.
    """

    gates: Tensor
    beta: Tensor
    variance: float
    log_likelihood: float
    y: Tensor
    explained: float


class PriorDraws(ABC):
    """Draws from the prior of a problem.

    Args:
        problem: The problem.
        blocks: Columns that stand for levels.
        intercept: Value of all coefficients without a gate, or how it is found.

    Attributes:
        held: What is not drawn but held at a value, in words.
        fitted: The problem that is fitted to the data sets.
        draws_noise: Whether the noise is unknown and its posterior right for the noises that are drawn.
    """

    draws_noise = False

    def __init__(self, problem: SelectionProblem, blocks: Blocks, intercept: Intercept) -> None:
        self.problem, self.blocks, self.intercept = problem, blocks, intercept
        self.fitted: SelectionProblem = problem
        self.held: list[str] = []
        if problem.num_unpenalised and not self._draws_unpenalised:
            value = float(intercept) if isinstance(intercept, int | float) else 0.0
            self.held.append(f"the intercept at {value:g}, at the mean of the columns")

    @abstractmethod
    def draw(self) -> DrawnTruth:
        """A data set, by torch's generator as it stands."""

    @abstractmethod
    def log_likelihood(self, y: Tensor, eta: Tensor, variances: Tensor) -> Tensor | None:
        """Log density of a response, shape ``(S,)``; ``None`` where it is not known.

        Args:
            y: The response, shape ``(n,)``.
            eta: Predictors, shape ``(S, n)``.
            variances: Noise variances, shape ``(S,)``.
        """

    @property
    def _draws_unpenalised(self) -> bool:
        if self.intercept == "prior":
            return True
        return self.intercept is None and self.problem.is_gaussian and self._proper_unpenalised

    @property
    def _proper_unpenalised(self) -> bool:
        return bool(torch.isfinite(self.problem.unpenalised_scale).all())

    def predictors(self, unpenalised: Tensor, beta: Tensor) -> Tensor:
        """Linear predictors, shape ``(S, n)``.

        Args:
            unpenalised: Coefficients without a gate, shape ``(S, k)``.
            beta: Coefficients with one, shape ``(S, p)``; of levels their effects do as well.
        """
        problem = self.problem
        return problem.offset + unpenalised @ problem.unpenalised.T + beta @ problem.x.T

    def _unpenalised(self) -> Tensor:
        scale = self.problem.unpenalised_scale
        if self._draws_unpenalised and len(scale):
            if not self._proper_unpenalised:
                raise ValueError(
                    "intercept='prior' needs a prior to draw from, and intercept_scale is infinite: "
                    "give a number"
                )
            return scale * torch.randn(len(scale), dtype=torch.float64)
        value = float(self.intercept) if isinstance(self.intercept, int | float) else 0.0
        return torch.full_like(scale, value)

    def _gates(self) -> Tensor:
        return drawn_gates(self.problem.prior, self.problem.num_groups)
