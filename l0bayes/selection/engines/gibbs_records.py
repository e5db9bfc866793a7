r"""Options and diagnostics of the engine "gibbs"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from l0bayes import validate
from l0bayes.selection.kernels.laplace_accuracy import LaplaceAccuracy
from l0bayes.selection.problem.chain_trust import chain_trust
from l0bayes.selection.problem.selection_posterior import Diagnostics, Evidence, SelectionPosterior
from l0bayes.selection.problem.verdict import Trust

__all__ = ["GibbsDiagnostics", "GibbsOptions", "Reweighting"]


@dataclass(frozen=True)
class GibbsOptions:
    """Number of chains, their length, and when they stop.

    Args:
        chains: Number of chains, drawn in one batch; at least 2.
        steps: Most flips a chain.
        burn_in: Flips that are left out, at the start; by default 100, and half of all steps where the noise
            is unknown and columns are more than half as many as rows, so that models may fit nearly all.
        check_every: Flips between two checks of the error.
        target_mcse: Largest Monte Carlo standard error of an inclusion probability at which it may stop
            early; 0 to run all ``steps``.
        exploration: ε: each gate is proposed at least as often as if its probability were ε / G.
        rebuild_every: Flips between two computations from scratch, against rounding.
        noise_every: Flips between two updates of an unknown noise variance; odd, since flips go in pairs.
        max_seconds: Time after which it stops at the next check.
        num_draws: Size of the sample of models; by default 4000, and down to 1000 if there are many columns.

    Raises:
        ValueError: If a number is out of range.
    """

    chains: int = 64
    steps: int = 2000
    burn_in: int | None = None
    check_every: int = 100
    target_mcse: float = 0.003
    exploration: float = 1.0
    rebuild_every: int = 100
    noise_every: int = 15
    max_seconds: float = math.inf
    num_draws: int | None = None

    def __post_init__(self) -> None:
        validate.at_least(2, chains=self.chains)
        validate.at_least(
            1,
            steps=self.steps,
            check_every=self.check_every,
            rebuild_every=self.rebuild_every,
            noise_every=self.noise_every,
            **validate.given(num_draws=self.num_draws),
        )
        if self.burn_in is not None and not 0 <= self.burn_in < self.steps:
            raise ValueError(
                f"burn_in must be at least 0 and below steps = {self.steps}, got {self.burn_in!r}"
            )
        validate.positive(exploration=self.exploration)
        validate.not_negative(target_mcse=self.target_mcse, max_seconds=self.max_seconds)


@dataclass(frozen=True, kw_only=True)
class Reweighting:
    """How models that were sampled on a quadratic were reweighted by their own evidences.

    Attributes:
        models: Number of distinct models whose evidence was computed.
        rounds: Number of quadratics that were tried before the last run.
        efficiency: Effective size of the weighted sample, divided by its size.
        spread: Standard deviation of the log weights.
    """

    models: int
    rounds: int
    efficiency: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class GibbsDiagnostics(Diagnostics):
    """How long the sampler ran, and how well the chains agree.

    Attributes:
        flips: Number of flips a chain.
        chains: Number of chains.
        largest_mcse: Largest Monte Carlo standard error of an inclusion probability.
        ess: Effective sample size.
        laplace: Accuracy of evidences by Laplace's method; ``None`` where they are in closed form.
        reweighting: How the models were weighted, in generalised linear models.
    """

    method: ClassVar[str] = "models were sampled by weighted tempered Gibbs sampling"
    remedy: ClassVar[str | None] = (
        "engine='exact' (l0bayes select: --engine exact) enumerates all models of few gates; with more, "
        "drop columns that say the same"
    )

    flips: int
    chains: int
    largest_mcse: float
    ess: float
    laplace: LaplaceAccuracy | None = None
    reweighting: Reweighting | None = None

    @property
    def evidence(self) -> Evidence:
        return "closed form" if self.laplace is None else "laplace"

    @property
    def evidences_corrected(self) -> bool:
        return self.laplace is not None and self.laplace.corrected

    def verdict(self, posterior: SelectionPosterior, *, seed: int = 0) -> Trust:
        trust = chain_trust(float(posterior.pip_mcse.max()), self.ess)
        return trust if self.laplace is None else self.laplace.judge(trust)
