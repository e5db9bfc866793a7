r"""Several factorised posteriors as one mixture, each mode once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from l0bayes.posterior.pareto import effective_share, pareto_k
from l0bayes.selection.kernels.mean_field import Factors, Hardened, JointDraws, log_joint
from l0bayes.selection.problem.selection_posterior import ModelDraws
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["ModeMixture", "distinct_modes", "log_mixture", "mixture_of_modes"]

# Inclusion probabilities of runs that found the same mode differ by less, by noise of the optimiser.
_ALIKE = 0.25
_CHUNK_ELEMENTS = 4_000_000


def distinct_modes(pip: Tensor, elbo: Tensor, tolerance: float = _ALIKE) -> Tensor:
    """Find the runs that found the same mode: all their inclusion probabilities are nearly the same.

    Args:
        pip: Inclusion probabilities of every run, shape ``(R, G)``.
        elbo: ELBO of every run, shape ``(R,)``.
        tolerance: Largest difference of an inclusion probability within a mode.

    Returns:
        For every run the index of the best run of its mode, ``torch.long``, shape ``(R,)``.
    """
    mode = torch.full((len(pip),), -1, dtype=torch.long)
    for run in torch.argsort(elbo, descending=True).tolist():
        if mode[run] < 0:
            alike = ((pip - pip[run]).abs().amax(1) <= tolerance) & (mode < 0)
            mode[alike] = run
    return mode


@dataclass(frozen=True)
class ModeMixture:
    r"""Factorised posteriors of several runs as one mixture.

    Attributes:
        mode: For every run the index of the best run of its mode, shape ``(R,)``.
        factors: Posteriors of the modes, one a row.
        weights: Weights of the modes, which sum to 1, shape ``(K,)``.
        pip: Inclusion probabilities of every mode, shape ``(K, G)``.
        draws: A sample of models.
        k_hat: Pareto's k of the importance ratios of draws of the mixture.
        effective_share: Share of those draws that is effective.
    """

    mode: Tensor
    factors: Factors
    weights: Tensor
    pip: Tensor
    draws: ModelDraws
    k_hat: float
    effective_share: float

    @property
    def disagreement(self) -> float:
        """Largest difference of an inclusion probability between modes of more than 1 % of the weight."""
        counted = self.pip[self.weights > 0.01]
        return float((counted.amax(0) - counted.amin(0)).max())

    @property
    def joint(self) -> Tensor:
        """Probability that two gates are open together, of one gate on the diagonal, shape ``(G, G)``."""
        joint = torch.einsum("k,kg,kh->gh", self.weights, self.pip, self.pip)
        return joint - joint.diagonal().diag() + (self.weights @ self.pip).diag()

    @property
    def size_probabilities(self) -> Tensor:
        """Law of the number of open gates, shape ``(G + 1,)``."""
        return self.weights @ _sizes(self.pip)

    def moments(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and second moment of every gated coefficient, zeros included, each of shape ``(p,)``.

        Args:
            groups: Gate of every column.
        """
        share = self.weights[:, None] * self.pip[:, groups]
        mean, sd = self.factors.mean, self.factors.sd
        return (share * mean).sum(0), (share * (mean.square() + sd.square())).sum(0)


def mixture_of_modes(
    problem: SelectionProblem, factors: Factors, hardened: Hardened, num_draws: int
) -> ModeMixture:
    r"""Mix the modes with weights :math:`\propto e^{\mathrm{ELBO}}`.

    Where modes do not overlap these are the weights of the best mixture, whose bound is then
    :math:`\log\sum_k e^{\mathrm{ELBO}_k}`; a bound without that condition is the best run's ELBO.

    ``k_hat`` is Pareto's k of the importance ratios

    .. math:: r_s = \frac{p(y, \gamma_s, \beta_s, \alpha_s)}{\sum_k w_k\, q_k(\gamma_s, \beta_s, \alpha_s)}

    of draws s of the mixture, with coefficients β behind shut gates left out of both densities: whether the
    mixture covers the posterior of gates and coefficients. π and σ², which have optimal laws and no
    parameters of their own, are integrated out of p in closed form (:func:`~.mean_field.log_joint`), the
    coefficients α without a gate, such as an intercept, are not.

    Args:
        problem: The problem.
        factors: Posteriors of the runs.
        hardened: Their bounds.
        num_draws: Size of the sample of models.
    """
    pip = torch.sigmoid(factors.logits)
    mode = distinct_modes(pip, hardened.elbo)
    kept = torch.unique(mode)
    weights = torch.softmax(hardened.elbo[kept], 0)
    best, q = factors.rows(kept), pip[kept]
    chosen = torch.multinomial(weights, num_draws, replacement=True)
    gates = (torch.rand(num_draws, q.shape[1], dtype=q.dtype) < q[chosen]).to(q.dtype)
    log_ratios = _log_ratios(problem, best, weights, gates, chosen)
    equal = torch.full((num_draws,), 1.0 / num_draws, dtype=q.dtype)
    draws = ModelDraws(gates, _variances(problem, hardened, kept[chosen]), equal, kept[chosen])
    return ModeMixture(mode, best, weights, q, draws, pareto_k(log_ratios), effective_share(log_ratios))


def log_mixture(problem: SelectionProblem, factors: Factors, weights: Tensor, draws: JointDraws) -> Tensor:
    r"""Log density of a mixture of hardened posteriors, under the measure of :func:`~.mean_field.log_joint`.

    .. math:: \sum_k w_k\, q_k(\gamma, \beta, \alpha), \qquad
        q_k = \prod_g q_{kg}^{\gamma_g} (1 - q_{kg})^{1 - \gamma_g}
        \prod_{j:\,\gamma_{g(j)} = 1} N(\beta_j; m_{kj}, v_{kj}^2) \prod_i N(\alpha_i; a_{ki}, c_{ki}^2)

    Args:
        problem: The problem.
        factors: The posteriors.
        weights: w, which sum to 1, shape ``(R,)``.
        draws: S points.

    Returns:
        Shape ``(S,)``.
    """
    opened = draws.gates[:, problem.groups]
    rows = []
    for row in range(len(weights)):
        one = factors.rows(torch.tensor(row))
        gates = draws.gates @ one.logits + logsigmoid(-one.logits).sum()
        slabs = (opened * _log_normal(draws.beta, one.mean, one.sd)).sum(1)
        rows.append(
            gates + slabs + _log_normal(draws.unpenalised, one.unpenalised_mean, one.unpenalised_sd).sum(1)
        )
    return torch.logsumexp(torch.stack(rows, 1) + weights.log(), 1)


def _log_normal(value: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
    return -0.5 * ((value - mean) / sd).square() - sd.log() - 0.5 * math.log(2.0 * math.pi)


def _log_ratios(
    problem: SelectionProblem, factors: Factors, weights: Tensor, gates: Tensor, rows: Tensor
) -> Tensor:
    """Log importance ratios of gates drawn from the rows of the factors, with coefficients drawn here."""
    ratios = []
    size = max(1, _CHUNK_ELEMENTS // (problem.num_rows + problem.num_columns))
    for some, row in zip(gates.split(size), rows.split(size), strict=True):
        one = factors.rows(row)
        slabs = one.mean + one.sd * torch.randn_like(one.mean)
        unpenalised = one.unpenalised_mean + one.unpenalised_sd * torch.randn_like(one.unpenalised_mean)
        draws = JointDraws(some, some[:, problem.groups] * slabs, unpenalised)
        ratios.append(log_joint(problem, draws) - log_mixture(problem, factors, weights, draws))
    return torch.cat(ratios)


def _variances(problem: SelectionProblem, hardened: Hardened, runs: Tensor) -> Tensor:
    if hardened.noise is None:
        return torch.full((len(runs),), problem.noise_variance, dtype=torch.float64)
    shape, rate = hardened.noise[runs].unbind(1)
    return rate / torch._standard_gamma(shape)


def _sizes(pip: Tensor) -> Tensor:
    """Law of the number of open gates, if they are independent with these probabilities, row by row."""
    law = pip.new_zeros(len(pip), pip.shape[1] + 1)
    law[:, 0] = 1.0
    for q in pip.T:
        moved = law[:, :-1] * q[:, None]
        law = law * (1.0 - q)[:, None]
        law[:, 1:] += moved
    return law
