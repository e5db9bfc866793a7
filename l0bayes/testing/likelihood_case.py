"""A likelihood as the suites are given it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import supports

__all__ = ["LikelihoodCase"]


class LikelihoodCase:
    """A likelihood with some options, and responses to it.

    Attributes:
        possible: Responses of n rows, at least 3, shape ``(n, *response_shape)``.
        impossible: Rows that cannot be observed.
        outcomes: All responses, up to where the rest has no probability; ``None`` for a continuous law.
        interval: Between what a continuous response lies.
        predictors: Values of η that are tried, none of them 0, where autograd takes a kink for a slope; of
            shape ``(m, classes)`` where each class has one.
        latents: Values of the latents that the likelihood samples, by site.
    """

    possible: ClassVar[Tensor]
    impossible: ClassVar[Sequence[Any]]
    outcomes: ClassVar[Sequence[float] | None] = None
    interval: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    predictors: ClassVar[Tensor] = torch.tensor([-2.0, -0.3, 0.05, 0.4, 1.5])
    latents: ClassVar[Mapping[str, float]] = {}

    def likelihood(self) -> Likelihood:
        """The likelihood that is tested."""
        raise NotImplementedError("a suite must define likelihood()")

    def law(self, eta: Tensor) -> Any:
        """The Pyro law at a predictor.

        Args:
            eta: η.
        """
        likelihood = self.likelihood()
        with Given(self.latent_values()):
            return likelihood.law(eta, likelihood.latents(eta.new_ones(())))

    def latent_values(self) -> dict[str, Tensor]:
        """``latents`` as tensors."""
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in self.latents.items()}

    def with_derivatives(self) -> Likelihood:
        """The likelihood; the test is skipped where it has no derivatives."""
        likelihood = self.likelihood()
        reason = supports(likelihood, "derivatives")
        if reason is not None:
            pytest.skip(reason)
        return likelihood

    def with_draws(self) -> Likelihood:
        """The likelihood; the test is skipped where it has no draws."""
        likelihood = self.likelihood()
        reason = supports(likelihood, "draws")
        if reason is not None:
            pytest.skip(reason)
        return likelihood

    def predictors_of_rows(self) -> Tensor:
        """One predictor a row of ``possible``, which fixes what is known of rows."""
        count = len(self.possible)
        return self.predictors.double().repeat(count, *[1] * (self.predictors.dim() - 1))[:count]
