r"""A posterior on the user's scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from l0bayes.estimators.scaling import Scaling
from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.resampling import equally_weighted
from l0bayes.selection.problem.level_block import LevelBlock, hidden_shares, level_effects
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.summaries.coefficient_draws import Coefficients
from l0bayes.selection.summaries.coefficients import coefficients_of
from l0bayes.selection.summaries.credible_sets import CredibleSet, credible_sets
from l0bayes.selection.summaries.moments import joint_moments

__all__ = ["Draws", "OriginalScalePosterior"]

# Beyond this the covariance of all pairs of coefficients is more than a table of draws.
_MOST_COLUMNS_FOR_COVARIANCE = 2000
# A gate less probable than this is described by draws with it open, not by a ratio of moments.
_RARE = 1e-8
# Where moments are not averages of exact conditionals, a ratio of two of them is noise sooner.
_RARE_LAPLACE = 0.05
_ROW_CHUNK = 8_000_000


@dataclass(frozen=True)
class Draws:
    """Draws of everything, in the user's units.

    Attributes:
        beta: Shape ``(S, p)``.
        gates: Shape ``(S, G)``.
        intercept: Shape ``(S,)``.
        noise_scale: Shape ``(S,)``.
        chains: Chain of each, shape ``(S,)``.
        scalars: Numbers of the likelihood that are learned, shape ``(S, q)``; ``None`` where there are none.
    """

    beta: Tensor
    gates: Tensor
    intercept: Tensor
    noise_scale: Tensor
    chains: Tensor
    scalars: Tensor | None = None


class OriginalScalePosterior:
    """A posterior of standardised data, in the units of the user's.

    Args:
        posterior: What an engine found.
        scaling: From the engine's units to the user's.
        names: Names of the columns.
        gate_names: Names of the gates.
        seed: Seed of the draws.
        blocks: Columns that stand for levels; their coefficients are given as effects of levels.
    """

    def __init__(
        self,
        posterior: SelectionPosterior,
        scaling: Scaling,
        names: list[str],
        gate_names: list[str],
        seed: int,
        blocks: Sequence[LevelBlock] = (),
    ) -> None:
        self.posterior = equally_weighted(posterior, seed)
        self.scaling = scaling
        self.names = names
        self.gate_names = gate_names
        self.seed = seed
        self.blocks = tuple(blocks)

    # ---- gates -----------------------------------------------------------------------------------

    @property
    def groups(self) -> Tensor:
        """Gate of every column."""
        return self.posterior.problem.groups

    @property
    def pip(self) -> Tensor:
        """Posterior inclusion probability of every gate."""
        return self.posterior.pip.clamp(0.0, 1.0)

    @property
    def prior(self) -> Tensor:
        """Prior inclusion probability of every gate."""
        return self.posterior.problem.prior.inclusion(self.posterior.problem.num_groups)

    @cached_property
    def sets(self) -> list[CredibleSet]:
        """Credible sets at the usual 95 %."""
        return credible_sets(self.posterior)

    # ---- coefficients ----------------------------------------------------------------------------

    @property
    def mean(self) -> Tensor:
        """Posterior mean of the coefficients, zeros included."""
        return level_effects(self.posterior.mean, self.blocks) * self.scaling.slope

    @property
    def sd(self) -> Tensor:
        """Posterior standard deviation of the coefficients, zeros included."""
        second = self.posterior.second_moment - self.pip[self.groups] * self._hidden
        mean = level_effects(self.posterior.mean, self.blocks)
        return (second - mean.square()).clamp(min=0.0).sqrt() * self.scaling.slope

    @cached_property
    def conditional(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each coefficient given that its gate is open."""
        pip, least = self.pip[self.groups], _RARE if self.gaussian else _RARE_LAPLACE
        mean = level_effects(self.posterior.mean, self.blocks) / pip.clamp(min=least)
        second = self.posterior.second_moment / pip.clamp(min=least) - self._hidden
        sd = (second - mean.square()).clamp(min=0.0).sqrt()
        rare = pip <= least
        if bool(rare.any()):
            known = self.coefficients
            mean = torch.where(rare, known.conditional_mean, mean)
            sd = torch.where(rare, known.conditional_sd, sd)
        return mean * self.scaling.slope, sd * self.scaling.slope

    @cached_property
    def _hidden(self) -> Tensor:
        """What of each coefficient's variance no response shows, where its gate is open: the prior's own."""
        problem, draws = self.posterior.problem, self.posterior.draws
        if not self.blocks:
            return torch.zeros_like(problem.slab_scale)
        open_ = draws.gates[:, self.groups] * draws.weights[:, None] + 1e-300
        slab = (open_ * problem.slab_variance(draws.variances)).sum(0) / open_.sum(0)
        return hidden_shares(slab, self.blocks) * slab

    @property
    def degrees(self) -> float:
        """Expected number of coefficients, the intercept among them."""
        hidden = hidden_shares(self.posterior.problem.slab_scale, self.blocks)
        return float(self.pip[self.groups] @ (1.0 - hidden)) + self.posterior.problem.num_unpenalised

    @cached_property
    def coefficients(self) -> Coefficients:
        """Draws in the engine's units."""
        return coefficients_of(self.posterior, seed=self.seed, blocks=self.blocks)

    @cached_property
    def covariance(self) -> Tensor | None:
        """Covariance of intercept (if any) and coefficients, in the engine's units, where it is computed."""
        if self.posterior.problem.num_columns > _MOST_COLUMNS_FOR_COVARIANCE or not self.gaussian:
            return None
        return joint_moments(self.posterior)[1]

    @property
    def gaussian(self) -> bool:
        """Whether the response is Normal."""
        return self.posterior.problem.is_gaussian

    @cached_property
    def intercept(self) -> Tensor:
        """Posterior mean of the intercept; 0 where there is none."""
        problem, mean = self.posterior.problem, self.mean
        if not problem.num_unpenalised:
            alpha = torch.zeros((), dtype=torch.float64)
        elif self.posterior.unpenalised_mean is not None:
            alpha = self.posterior.unpenalised_mean[0]
        elif self.gaussian:
            alpha = self._gaussian_intercept
        else:
            alpha = self.coefficients.unpenalised[:, 0].mean()
        return self.scaling.intercept(alpha, mean)

    @property
    def _gaussian_intercept(self) -> Tensor:
        r"""That of a column of ones at the mean of β: with weights w and prior scale t,

        .. math:: E[\alpha \mid \beta, \sigma^2] =
            \sum_i w_i (y_i - o_i - x_i'\beta) \Big/ \Bigl(\sum_i w_i + \sigma^2/t^2\Bigr).
        """
        problem, draws = self.posterior.problem, self.posterior.draws
        left = problem.weights @ (problem.y - problem.offset - problem.x @ self.posterior.mean)
        shrunk = 1.0 / (problem.weights.sum() + draws.variances / problem.unpenalised_scale[0].square())
        return left * (draws.weights @ shrunk) / draws.weights.sum()

    @cached_property
    def draws(self) -> Draws:
        """A sample of the posterior, in random order within a chain."""
        known, scaling = self.coefficients, self.scaling
        beta = known.beta * scaling.slope
        alpha = known.unpenalised[:, 0] if known.unpenalised.shape[1] else beta.new_zeros(len(beta))
        chains = self.posterior.draws.chains
        with private_randomness(self.seed):
            order = torch.randperm(len(beta))
        order = order[torch.argsort(chains[order], stable=True)]
        return Draws(
            beta[order],
            self.posterior.draws.gates[order],
            scaling.intercept(alpha, beta)[order],
            (known.noise_scale * scaling.response_scale)[order],
            chains[order],
            None if self.posterior.draws.scalars is None else self.posterior.draws.scalars[order],
        )

    # ---- predictions -----------------------------------------------------------------------------

    def predictor(self, x: Tensor) -> Tensor:
        """Posterior mean of the linear predictor, shape ``(n,)``.

        Args:
            x: Columns on the user's scale, shape ``(n, p)``.
        """
        return x @ self.mean + self.intercept

    def predictor_draws(self, x: Tensor) -> Any:
        """Draws of the linear predictor, a piece of the rows at a time, each of shape ``(m, S)``.

        Args:
            x: Columns on the user's scale, shape ``(n, p)``.
        """
        draws = self.draws
        for rows in x.split(max(1, _ROW_CHUNK // len(draws.beta))):
            yield rows @ draws.beta.T + draws.intercept

    def predictor_variance(self, x: Tensor) -> Tensor:
        """Posterior variance of the linear predictor, shape ``(n,)``.

        Args:
            x: Columns on the user's scale, shape ``(n, p)``.
        """
        covariance = self.covariance
        if covariance is None:
            return torch.cat([part.var(1) for part in self.predictor_draws(x)])
        columns = self.scaling.columns(x)
        if self.posterior.problem.num_unpenalised:
            columns = torch.cat([torch.ones_like(columns[:, :1]), columns], 1)
        spread = ((columns @ covariance) * columns).sum(1)
        return spread.clamp(min=0.0) * self.scaling.response_scale**2

    @property
    def noise_variance(self) -> float:
        """Posterior mean of the noise variance."""
        draws = self.posterior.draws
        return float(draws.variances @ draws.weights) * self.scaling.response_scale**2
