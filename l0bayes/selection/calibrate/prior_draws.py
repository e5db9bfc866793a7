r"""Gates, coefficients, noise and a response drawn from the prior of a problem, for its own columns."""

from __future__ import annotations

import math
from functools import singledispatch

import torch
from torch import Tensor

from l0bayes.selection.calibrate.drawn_data import Blocks, DrawnTruth, Intercept, PriorDraws
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.level_block import level_effects
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.zellner_problem import ZellnerProblem

__all__ = ["prior_draws"]

# A prior of the noise that counts as fewer rows than twice this spreads over decades: it is not drawn from.
_LEAST_SHAPE = 0.5
_REPEATED = 1e-9


@singledispatch
def prior_draws(problem: SelectionProblem, blocks: Blocks = (), intercept: Intercept = None) -> PriorDraws:
    """Draws from the prior of a problem, whose own response is not asked.

    Args:
        problem: The problem.
        blocks: Columns that stand for levels.
        intercept: Value of all coefficients without a gate; ``"prior"`` to draw them; by default they are
            drawn where the response is Normal and their prior proper, and held at 0 elsewhere.

    Raises:
        TypeError: If nothing is known of how to draw such a problem's data.
        ValueError: If its prior, or its response, cannot be drawn from.
    """
    raise TypeError(f"data of a {type(problem).__name__} cannot be drawn from its prior")


@prior_draws.register
def _(problem: GaussianProblem, blocks: Blocks = (), intercept: Intercept = None) -> PriorDraws:
    return NormalDraws(problem, blocks, intercept)


@prior_draws.register
def _(problem: GeneralisedProblem, blocks: Blocks = (), intercept: Intercept = None) -> PriorDraws:
    return GeneralisedDraws(problem, blocks, intercept)


@prior_draws.register
def _(problem: LearnedSlabProblem, blocks: Blocks = (), intercept: Intercept = None) -> PriorDraws:
    return LearnedSlabDraws(problem, blocks, intercept)


@prior_draws.register
def _(problem: ZellnerProblem, blocks: Blocks = (), intercept: Intercept = None) -> PriorDraws:
    return ZellnerDraws(problem, blocks, intercept)


def _normal_log_likelihood(problem: SelectionProblem, y: Tensor, eta: Tensor, variances: Tensor) -> Tensor:
    left = ((y - eta).square() * problem.weights).sum(-1)
    return -0.5 * len(y) * torch.log(2.0 * math.pi * variances) - 0.5 * left / variances


class _OfNormalResponse(PriorDraws):
    """Draws whose response is the predictor and a Normal noise."""

    def log_likelihood(self, y: Tensor, eta: Tensor, variances: Tensor) -> Tensor | None:
        return _normal_log_likelihood(self.problem, y, eta, variances)

    def _observed(self, gates: Tensor, unpenalised: Tensor, beta: Tensor, variance: Tensor) -> DrawnTruth:
        eta = self.predictors(unpenalised[None], beta[None])[0]
        noise = torch.randn(len(eta), dtype=torch.float64) * (variance / self.problem.weights).sqrt()
        y, signal = eta + noise, float(eta.var())
        likelihood = _normal_log_likelihood(self.problem, y, eta[None], variance[None])
        return DrawnTruth(
            gates, level_effects(beta, self.blocks), float(variance), float(likelihood), y,
            signal / (signal + float(variance)),
        )  # fmt: skip


class NormalDraws(_OfNormalResponse):
    """Draws of a Gaussian problem with Normal slabs."""

    problem: GaussianProblem

    def __init__(self, problem: GaussianProblem, blocks: Blocks, intercept: Intercept) -> None:
        super().__init__(problem, blocks, intercept)
        prior = problem.noise_prior
        self.draws_noise = prior is not None and prior.shape >= _LEAST_SHAPE
        # Where a weak prior is centred.
        middle = prior.rate / prior.shape if prior is not None and prior.is_proper else 0.5
        self._held_variance = problem.noise_variance if prior is None else middle
        if prior is not None and not self.draws_noise:
            self.held.append(
                f"the noise at σ = {math.sqrt(middle):.3g}, since {prior.words} spreads over too many "
                "decades to be drawn from"
            )

    def draw(self) -> DrawnTruth:
        prior = self.problem.noise_prior
        variance = torch.tensor(self._held_variance, dtype=torch.float64)
        if prior is not None and self.draws_noise:
            variance = prior.rate / torch._standard_gamma(torch.tensor(prior.shape, dtype=torch.float64))
        gates = self._gates()
        slab = self.problem.slab_variance(variance).sqrt() * self._slab_factor()
        beta = gates[self.problem.groups] * slab * torch.randn(len(slab), dtype=torch.float64)
        return self._observed(gates, self._unpenalised(), beta, variance)

    def _slab_factor(self) -> Tensor:
        """What slab scales are multiplied by."""
        return torch.ones((), dtype=torch.float64)


class LearnedSlabDraws(NormalDraws):
    """Draws of a Gaussian problem whose slabs have a scale of their own in every data set."""

    def __init__(self, problem: LearnedSlabProblem, blocks: Blocks, intercept: Intercept) -> None:
        super().__init__(problem.given, blocks, intercept)
        self.fitted, self._law = problem, problem.slab_law

    def _slab_factor(self) -> Tensor:
        return self._law.draw()


class ZellnerDraws(_OfNormalResponse):
    r"""Draws under Zellner's slabs, with σ = 1 and an intercept of 0.

    Under :math:`p(\alpha, \sigma^2) \propto 1/\sigma^2` what is found does not change with the place and the
    unit of the response: posteriors are right at every σ and α if they are at one.
    """

    problem: ZellnerProblem
    draws_noise = True

    def __init__(self, problem: ZellnerProblem, blocks: Blocks, intercept: Intercept) -> None:
        super().__init__(problem, blocks, 0.0 if intercept is None else intercept)
        self.held = ["σ at 1 and the intercept at 0, on which no answer depends"]
        rule = problem.slab.prior_rule(problem.setting)
        self._log_g, self._mass = rule.log_g, rule.log_mass.exp()

    def draw(self) -> DrawnTruth:
        problem, gates = self.problem, self._gates()
        beta = torch.zeros(problem.num_columns, dtype=torch.float64)
        columns = gates[problem.groups].nonzero()[:, 0]
        if len(columns):
            inner = problem.system.matrix[columns][:, columns]
            scale = inner.diagonal().clamp(min=1e-300).sqrt()
            values, vectors = torch.linalg.eigh(inner / scale[:, None] / scale)
            # Columns that repeat others have no variance of their own.
            spread = torch.where(values > _REPEATED, values.clamp(min=1e-300).rsqrt(), 0.0)
            g = self._log_g[torch.multinomial(self._mass, 1)].exp()
            drawn = vectors @ (spread * torch.randn(len(columns), dtype=torch.float64))
            beta[columns] = drawn / scale * g.sqrt()
        one = torch.ones((), dtype=torch.float64)
        return self._observed(gates, torch.zeros(problem.num_unpenalised, dtype=torch.float64), beta, one)


@prior_draws.register
def _(problem: LearnedProblem, blocks: Blocks = (), intercept: Intercept = None) -> PriorDraws:
    draws = GeneralisedDraws(problem.at(problem.start), blocks, intercept)
    # The problem that is fitted learns them still.
    draws.fitted = problem
    draws.held += [f"the {one.name} at {one.start:.3g}" for one in problem.scalars]
    return draws


class GeneralisedDraws(PriorDraws):
    """Draws of a generalised problem."""

    problem: GeneralisedProblem

    def __init__(self, problem: GeneralisedProblem, blocks: Blocks, intercept: Intercept) -> None:
        super().__init__(problem, blocks, intercept)
        reason = problem.likelihood.supports_simulation()
        if reason is not None:
            raise ValueError(
                f"responses of the {problem.likelihood.name} likelihood cannot be drawn: {reason}"
            )

    def draw(self) -> DrawnTruth:
        problem, gates = self.problem, self._gates()
        slab = problem.slab_scale
        beta = gates[problem.groups] * slab * torch.randn(len(slab), dtype=torch.float64)
        eta = self.predictors(self._unpenalised()[None], beta[None])[0]
        likelihood = problem.likelihood
        y = likelihood.simulated(eta, problem.y)
        if not bool(torch.isfinite(y).all()) or bool(likelihood.impossible(y).any()):
            raise ValueError(
                f"the prior drew predictors from {float(eta.min()):.3g} to {float(eta.max()):.3g}, at which "
                f"the {likelihood.name} likelihood has no responses that could be observed: take a smaller "
                "slab_scale, fewer effects (inclusion=), or another intercept"
            )
        value = self.log_likelihood(y, eta[None], torch.ones(1))
        density = math.nan if value is None else float(value)
        return DrawnTruth(gates, level_effects(beta, self.blocks), 1.0, density, y, math.nan)

    def log_likelihood(self, y: Tensor, eta: Tensor, variances: Tensor) -> Tensor | None:
        likelihood = self.problem.likelihood
        if not likelihood.by_row:
            weights = self.problem.weights
            together: Tensor = likelihood.law(eta, {}, weights).log_prob(y)
            return together
        if likelihood.supports_derivatives() is not None:
            return None
        value: Tensor = (likelihood.log_density(y, eta) * self.problem.weights).sum(-1)
        return value
