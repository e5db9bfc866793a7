r"""The response's part of a relaxed ELBO: expected log likelihood, and the noise if there is one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.mean_field import Factors, expected_squares
from l0bayes.selection.kernels.relaxations import binary_log_likelihood
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["Noise", "ResponseTerm", "response_term"]


@dataclass(frozen=True)
class Noise:
    r"""A log-normal law of σ², or a known one, for every run.

    Attributes:
        precision: :math:`E[1/\sigma^2]`, shape ``(R,)``.
        log_variance: :math:`E[\log \sigma^2]`, shape ``(R,)``.
        kl: Divergence of the law from its prior, up to a constant, shape ``(R,)``.
    """

    precision: Tensor
    log_variance: Tensor
    kl: Tensor


class ResponseTerm(ABC):
    """The response's part of the objective, and units and starting values that depend on it.

    Attributes:
        working: The Gaussian problem that approximates the problem at the start.
        first_variance: Noise variance at the start.
        num_responses: Number of responses.
        unit: Squared size of the response, for steps of Adam that change the predictor in proportion to it.
        memory: Decay of Adam's mean of squared gradients.
        by_rows: Whether likelihoods are computed row by row, instead of from second moments.
        slab_scaled_by_noise: Whether the slab's variance is in units of the noise's.
    """

    working: GaussianProblem
    first_variance: float
    num_responses: float
    unit: float
    memory: float
    by_rows: bool
    slab_scaled_by_noise: bool

    @abstractmethod
    def noise(self, loc: Tensor, scale: Tensor) -> Noise:
        """The noise of every run.

        Args:
            loc: Mean of log σ², shape ``(R,)``.
            scale: Its standard deviation, shape ``(R,)``.
        """

    @abstractmethod
    def log_likelihood(self, beta: Tensor, noise: Noise) -> Tensor:
        """At drawn coefficients, up to a constant, shape ``(S, R)``.

        Args:
            beta: All coefficients, the unpenalised ones first, shape ``(S, R, k + p)``.
            noise: The noise.
        """

    @abstractmethod
    def expected_log_likelihood(self, factors: Factors, noise: Noise, particles: int) -> Tensor:
        """Under binary gates, up to a constant, shape ``(R,)``.

        Args:
            factors: The posteriors.
            noise: The noise.
            particles: Number of draws, where it is estimated.
        """


@singledispatch
def response_term(problem: SelectionProblem) -> ResponseTerm:
    """The response of a problem.

    Args:
        problem: The problem.

    Raises:
        TypeError: If a variational fit cannot take this kind of problem.
    """
    raise TypeError(f"a variational fit takes no {type(problem).__name__}")


class _GaussianTerm(ResponseTerm):
    memory = 0.99

    def __init__(self, problem: GaussianProblem) -> None:
        self.problem = self.working = problem
        # Computed before anything is traced.
        self.num_responses, self.gram, self.columns = problem.num_observations, problem.gram, problem.columns
        self.slab_scaled_by_noise = problem.slab_scaled_by_noise
        self.unit = float(self.gram.square)
        self.by_rows = problem.num_rows < problem.num_unpenalised + problem.num_columns
        self.first_variance = problem.noise_variance
        if problem.noise_prior is not None:
            # As if half of the response stayed unexplained: if p > n, a ridge regression explains all of it.
            prior = problem.noise_prior
            self.first_variance = (prior.rate + 0.25 * self.unit) / (prior.shape + 0.5 * self.num_responses)

    def noise(self, loc: Tensor, scale: Tensor) -> Noise:
        prior = self.problem.noise_prior
        if prior is None:
            variance = loc.new_tensor(self.problem.noise_variance).expand(loc.shape)
            return Noise(variance.reciprocal(), variance.log(), loc.new_zeros(loc.shape))
        precision = torch.exp(-loc + 0.5 * scale.square())
        # In t = log σ²: a t + b e^-t, less the entropy.
        return Noise(precision, loc, prior.shape * loc + prior.rate * precision - scale.log())

    def log_likelihood(self, beta: Tensor, noise: Noise) -> Tensor:
        problem, gram = self.problem, self.gram
        if self.by_rows:
            residual = problem.y - problem.offset - beta @ self.columns.T
            squares = residual.square() @ problem.weights
        else:
            squares = gram.square - 2.0 * beta @ gram.vector + ((beta @ gram.matrix) * beta).sum(-1)
        return self._of_squares(squares, noise)

    def expected_log_likelihood(self, factors: Factors, noise: Noise, particles: int) -> Tensor:
        return self._of_squares(expected_squares(self.problem, factors), noise)

    def _of_squares(self, squares: Tensor, noise: Noise) -> Tensor:
        return -0.5 * noise.precision * squares - 0.5 * self.num_responses * noise.log_variance


class _GeneralisedTerm(ResponseTerm):
    # Where rows carry much information, as large counts do, gates that are nearly sure have slopes that fall
    # exponentially; a longer memory of earlier slopes would hold them where they are.
    memory = 0.95
    first_variance = 1.0
    by_rows = True
    slab_scaled_by_noise = False

    def __init__(self, problem: GeneralisedProblem) -> None:
        self.problem, self.working, self.columns = problem, ridge_problem(problem), problem.columns
        self.num_responses, self.unit = problem.num_rows, float(self.working.weights.sum())

    def noise(self, loc: Tensor, scale: Tensor) -> Noise:
        return Noise(torch.ones_like(loc), torch.zeros_like(loc), torch.zeros_like(loc))

    def log_likelihood(self, beta: Tensor, noise: Noise) -> Tensor:
        problem = self.problem
        eta = problem.offset + beta @ self.columns.T
        value, slope = problem.likelihood.derivatives(problem.y, eta.detach(), 1)
        linear = slope * (eta - eta.detach())
        return (value + linear) @ problem.weights

    def expected_log_likelihood(self, factors: Factors, noise: Noise, particles: int) -> Tensor:
        return binary_log_likelihood(self.problem, factors, particles)


@response_term.register
def _(problem: GaussianProblem) -> ResponseTerm:
    return _GaussianTerm(problem)


@response_term.register
def _(problem: GeneralisedProblem) -> ResponseTerm:
    return _GeneralisedTerm(problem)
