r"""Evidences by Laplace's method, checked and where needed corrected by importance sampling."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.posterior.pareto import pareto_k
from l0bayes.selection.kernels.evidence_grid import RefinedEvidences
from l0bayes.selection.kernels.importance_draws import SKEWED, ImportanceDraws, ModelProposals
from l0bayes.selection.kernels.laplace_accuracy import ImportanceCheck

__all__ = ["CheckedEvidences", "check_evidences"]

# Draws of the first look, by evidences of Laplace's method, and of every model besides.
_FIRST, _LEAST, _MOST_LEAST = 2_000, 3, 16
# Draws of the next one, by what the first one found: more of few rows, which cost less and where Laplace's
# method errs more. Doubled until errors of PIPs are small enough, up to so many draws, and terms of rows.
_SECOND, _MOST_SECOND, _SECOND_NUMBERS = 4_000, 16_000, 1_500_000
_MOST, _MOST_NUMBERS = 160_000, 200_000_000
_SMALL_ERROR = 0.0025
# Second-order terms count only so far where draws are planned: a series that diverges says nothing.
_TRUSTED_TERM = 0.7
# Posterior mean of the size of these terms from which on more than the first draws are always looked at.
_TYPICAL_TERM = 0.03
# Draws of a model from which on their tail is looked at.
_TAIL = 200
# Differences that are corrected: so many standard errors, and at least so much of a PIP, of a mean in
# posterior standard deviations, of the logarithm of a standard deviation, of a log evidence.
_ERRORS = 3.0
_PIP, _MEAN, _LOG_SD, _LOG_EVIDENCE = 0.005, 0.05, 0.05, 0.02


@dataclass(frozen=True)
class CheckedEvidences:
    """Evidences of models, corrected where Laplace's method errs.

    Attributes:
        correction: What is added to the log evidence of every model by Laplace's method of first order, shape
            ``(M,)``.
        variance: Variance of the relative error of every evidence, 0 where not corrected, shape ``(M,)``.
        shares: Posterior of the nodes of what is learned in every model, shape ``(M, K)``.
        moments: Mean and second moment of all coefficients over the models, each of shape ``(k + p,)``.
        report: How the check went.
    """

    correction: Tensor
    variance: Tensor
    shares: Tensor
    moments: tuple[Tensor, Tensor]
    report: ImportanceCheck


class _Sample:
    """Draws over all models with their weights."""

    def __init__(self, draws: ImportanceDraws, log_prior: Tensor) -> None:
        self.draws = draws
        self.counts = torch.bincount(draws.model, minlength=len(log_prior))
        logs = draws.log_ratio + (log_prior - self.counts.log())[draws.model]
        self.logs = logs.nan_to_num(nan=-torch.inf)
        self.total = self.logs.logsumexp(0)
        self.weights = (self.logs - self.total).exp()
        self.of_models = self._sum(self.weights)
        centred = self.weights - (self.of_models / self.counts)[draws.model]
        shrink = self.counts / (self.counts - 1.0).clamp(min=1.0)
        self.variance = self._sum(centred.square()) * shrink

    def _sum(self, values: Tensor) -> Tensor:
        return values.new_zeros(len(self.counts)).index_add(0, self.draws.model, values)

    def pip(self, gates: Tensor) -> tuple[Tensor, Tensor]:
        """With its standard error."""
        pip = self.of_models @ gates
        return pip, (self.variance @ (gates - pip).square()).sqrt()

    @property
    def log_error(self) -> float:
        """Standard error of the log evidence of all models together."""
        return float(self.variance.sum().sqrt())

    @property
    def relative_variance(self) -> Tensor:
        return self.variance / self.of_models.square().clamp(min=1e-300)

    @property
    def k_hat(self) -> float:
        """Of the ratios within the models of which there are many draws, each relative to its evidence."""
        logs = self.logs - (self.of_models / self.counts).log()[self.draws.model]
        kept = (self.counts >= _TAIL)[self.draws.model] & torch.isfinite(logs)
        return pareto_k(logs[kept]) if bool(kept.any()) else -torch.inf

    def moments(self, place: Tensor, held: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and second moment of all coefficients, and errors of the mean and of the variance."""
        model, values = self.draws.model, self.draws.values
        row, slot = held[model].nonzero(as_tuple=True)
        column, value = place[model[row], slot], values[row, slot]
        weight = self.weights[row]

        def over(terms: Tensor) -> Tensor:
            return terms.new_zeros(size).index_add(0, column, terms)

        first, second = over(weight * value), over(weight * value.square())
        variance = second - first.square()
        squares = weight.square()
        # Draws in which a coefficient is 0 err too: by the weight of all, less that of the others.
        rest = self.weights.square().sum() - over(squares)
        away = value - first[column]
        mean_error = over(squares * away.square()) + rest * first.square()
        spread = over(squares * (away.square() - variance[column]).square())
        spread = spread + rest * (first.square() - variance).square()
        return first, second, mean_error.sqrt(), spread.sqrt()


def check_evidences(refined: RefinedEvidences, log_prior: Tensor, gates: Tensor) -> CheckedEvidences:
    r"""Compare evidences by Laplace's method of second order with importance sampling, and correct them.

    Coefficients (and nodes of what is learned) are drawn about the modes of all models, most from those that
    carry the probability. With r the ratio of the exact joint density to the proposal's, and c the number of
    a model's draws,

    .. math:: \hat Z_\gamma = \frac1{c_\gamma} \sum_i r_i, \qquad
        \hat P(\gamma_g = 1) = \frac{\sum_\gamma p(\gamma)\,\hat Z_\gamma\,\gamma_g}
        {\sum_\gamma p(\gamma)\,\hat Z_\gamma}

    are those of the exact posterior. Their errors by chance are larger than those of Laplace's method where
    data are plenty; so they are taken only where the two differ by more than their errors.

    Args:
        refined: Evidences by Laplace's method of models that carry nearly all of the probability, slots in
            use first.
        log_prior: Log weights of the models besides their evidences, shape ``(M,)``.
        gates: The models, zeros and ones, shape ``(M, G)``.
    """
    sample = _drawn(refined, log_prior, gates)
    score = refined.evidences.log_evidence + refined.correction + log_prior
    pip, error = sample.pip(gates)
    gap = (pip - score.softmax(0) @ gates).abs().nan_to_num(1.0)
    modes, problem = refined.evidences.at_centre, refined.evidences.grid.centre
    size = problem.num_unpenalised + problem.num_columns
    mean, second, mean_error, spread_error = sample.moments(modes.place, modes.held, size)
    changed = bool((gap > (_ERRORS * error).clamp(min=_PIP)).any())
    step = float(sample.total - score.logsumexp(0))
    shifted = changed or not abs(step) <= max(_ERRORS * sample.log_error, _LOG_EVIDENCE)
    correction = refined.correction + step if shifted else refined.correction
    if changed:
        correction = sample.of_models.log() + sample.total - log_prior - refined.evidences.log_evidence
    # Coefficients are given the moments of the draws, which err by chance, where they differ; and beside any
    # that do, where the error is small.
    own = refined.moments((refined.evidences.log_evidence + correction + log_prior).softmax(0))
    moved = _differ(own, (mean, second), mean_error, spread_error)
    precise = spread_error <= 2.0 * _LOG_SD * (second - mean.square())
    moved = moved | (precise & (changed or bool(moved.any())))
    return CheckedEvidences(
        correction=correction,
        variance=sample.relative_variance if changed else torch.zeros_like(log_prior),
        shares=_shares(refined, sample) if changed or shifted or bool(moved.any()) else refined.shares,
        moments=(torch.where(moved, mean, own[0]), torch.where(moved, second, own[1])),
        report=ImportanceCheck(
            draws=len(sample.weights),
            ess=float(1.0 / sample.weights.square().sum()),
            k_hat=sample.k_hat,
            error=float(error.max()),
            gap=float(gap.max()),
            corrected=changed,
        ),
    )


def _drawn(refined: RefinedEvidences, log_prior: Tensor, gates: Tensor) -> _Sample:
    term = refined.correction
    proposals = ModelProposals(refined.evidences, ~(term.abs() <= SKEWED))
    trusted = term.nan_to_num(0.0).clamp(-_TRUSTED_TERM, _TRUSTED_TERM)
    share = (refined.evidences.log_evidence + trusted + log_prior).softmax(0)
    least = max(_LEAST, min(_MOST_LEAST, _FIRST // len(share)))
    draws = proposals.draw((_FIRST * share).ceil().long() + least)
    sample, rows = _Sample(draws, log_prior), refined.evidences.grid.centre.num_rows
    number = max(_SECOND, min(_MOST_SECOND, _SECOND_NUMBERS // rows))
    most = min(_MOST, _MOST_NUMBERS // rows)
    skewed = not float((share * term.abs()).sum()) <= _TYPICAL_TERM  # means err too, and need more draws
    while len(draws.model) + number <= most and (skewed or float(sample.pip(gates)[1].max()) > _SMALL_ERROR):
        skewed = False
        draws = draws + proposals.draw((number * sample.of_models).round().long())
        order = torch.argsort(draws.model, stable=True)
        draws = ImportanceDraws(
            *(part[order] for part in (draws.model, draws.node, draws.values, draws.log_ratio))
        )
        sample = _Sample(draws, log_prior)
        number *= 2
    return sample


def _differ(
    laplace: tuple[Tensor, Tensor], exact: tuple[Tensor, Tensor], mean_error: Tensor, spread_error: Tensor
) -> Tensor:
    """Of which coefficients a mean or a standard deviation differs by more than errors by chance."""
    (mean, second), (other, other_second) = laplace, exact
    variance = (other_second - other.square()).clamp(min=1e-300)
    shift = (mean - other).abs() > torch.maximum(_ERRORS * mean_error, _MEAN * variance.sqrt())
    tolerance = torch.maximum(_ERRORS * spread_error, 2.0 * _LOG_SD * variance)
    wider = (second - mean.square() - variance).abs() > tolerance
    return shift | wider


def _shares(refined: RefinedEvidences, sample: _Sample) -> Tensor:
    """Posterior of the nodes by Laplace's method of first order, times what the draws of all models say."""
    shares = refined.evidences.shares
    if shares.shape[1] == 1:
        return shares
    found = shares.new_zeros(shares.shape[1]).index_add(0, sample.draws.node, sample.weights)
    ratio = found / (sample.of_models @ shares).clamp(min=1e-300)
    tilted = shares * ratio
    return tilted / tilted.sum(1, keepdim=True)
