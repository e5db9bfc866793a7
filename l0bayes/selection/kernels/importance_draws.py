r"""Weighted draws of the coefficients, and of what is learned, within each of many models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from l0bayes.selection.kernels.evidence_grid import Evidences
from l0bayes.selection.kernels.laplace import Modes
from l0bayes.selection.kernels.response_terms import terms_of
from l0bayes.selection.kernels.split_law import SplitLaw, factors_at, side_scales
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem

__all__ = ["SKEWED", "ImportanceDraws", "ModelProposals", "log_joint", "resampled"]

SKEWED = 0.15
"""Models with a larger second-order term are looked at on each side of the mode."""

_BATCH = 2**16
# So few columns are taken together, whichever a model has.
_FEW_COLUMNS = 32
# Share of the draws that is spread over nodes by the root of the posterior by Laplace, in case it errs.
_EVERYWHERE = 0.1


@dataclass(frozen=True)
class ImportanceDraws:
    r"""Draws with the ratio of the exact joint density to that of the proposal.

    Attributes:
        model: Number of the model of each draw, in order, shape ``(P,)``.
        node: Node of what is learned, shape ``(P,)``.
        values: Coefficients in the slots of the model, shape ``(P, s)``.
        log_ratio: Log ratios; the mean of the ratios over a model's draws estimates its evidence without
            bias, in the constants of :func:`~l0bayes.selection.kernels.laplace.find_modes`.
    """

    model: Tensor
    node: Tensor
    values: Tensor
    log_ratio: Tensor

    def __add__(self, other: ImportanceDraws) -> ImportanceDraws:
        pairs = zip(
            (self.model, self.node, self.values, self.log_ratio),
            (other.model, other.node, other.values, other.log_ratio),
            strict=True,
        )
        return ImportanceDraws(*(torch.cat(pair) for pair in pairs))


class ModelProposals:
    """From where the coefficients of models are drawn: about their modes at every node.

    Args:
        evidences: Models at nodes, slots in use first.
        skewed: Models whose sides are looked at one by one; the others are taken to be symmetric, shape
            ``(M,)``.
    """

    def __init__(self, evidences: Evidences, skewed: Tensor) -> None:
        self.evidences = evidences
        shares = evidences.shares
        near = torch.where(shares > 1e-4, shares.sqrt(), 0.0)
        self.shares = (1.0 - _EVERYWHERE) * shares + _EVERYWHERE * near / near.sum(1, keepdim=True)
        modes = evidences.at_centre
        self.low = torch.ones_like(modes.coefficients)
        self.high = torch.ones_like(modes.coefficients)
        best = shares.argmax(1)
        for node in torch.unique(best[skewed]).tolist():
            some = (skewed & (best == node)).nonzero()[:, 0]
            problem, own = evidences.grid.problems[node], evidences.modes[node].some(some)
            scales = side_scales(problem, own, factors_at(problem, own))
            self.low[some], self.high[some] = scales

    @classmethod
    def of_modes(cls, problem: GeneralisedProblem, modes: Modes, skewed: Tensor) -> Self:
        """Of models of a problem in which nothing is learned.

        Args:
            problem: The problem.
            modes: Modes of the models.
            skewed: As above.
        """
        return cls(Evidences.of_one(problem, modes), skewed)

    def draw(self, counts: Tensor) -> ImportanceDraws:
        """So many draws of every model.

        Args:
            counts: Shape ``(M,)``.
        """
        model = torch.arange(len(counts)).repeat_interleave(counts)
        node = self._nodes(counts, model)
        values = torch.zeros(len(model), self.low.shape[1], dtype=torch.float64)
        ratio = torch.zeros(len(model), dtype=torch.float64)
        for number in torch.unique(node).tolist():
            rows = (node == number).nonzero()[:, 0]
            values[rows], ratio[rows] = self._at(number, model[rows])
        return ImportanceDraws(model, node, values, ratio)

    def _nodes(self, counts: Tensor, model: Tensor) -> Tensor:
        """Systematic draws within each model."""
        if self.shares.shape[1] == 1:
            return torch.zeros_like(model)
        first = counts.cumsum(0) - counts
        step = torch.arange(len(model)) - first[model]
        start = torch.rand(len(counts), dtype=torch.float64)
        place = (step + start[model]) / counts[model]
        cumulative = self.shares.cumsum(1)
        cumulative = cumulative / cumulative[:, -1:]
        return torch.searchsorted(cumulative[model], place[:, None])[:, 0].clamp(max=self.shares.shape[1] - 1)

    def _at(self, node: int, model: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients and log ratios of draws at a node, ordered by model."""
        problem, modes = self.evidences.grid.problems[node], self.evidences.modes[node]
        used, which = torch.unique(model, return_inverse=True)
        own = modes.some(used)
        factor, far = factors_at(problem, own), not problem.likelihood.log_concave
        law = SplitLaw(own.coefficients, factor, self.low[used], self.high[used], own.held, far)
        values, logs = law.draw(which)
        joint = log_joint(problem, own, which, values)
        weight = self.evidences.grid.log_weights[node]
        return values, joint + weight - logs - self.shares[model, node].log()


def resampled(draws: ImportanceDraws, counts: Tensor) -> Tensor:
    """Numbers of draws in proportion to their ratios, systematically within each model.

    Args:
        draws: Draws, at least one of each model with a finite ratio.
        counts: How many of each model, shape ``(M,)``.
    """
    models = len(counts)
    top = draws.log_ratio.new_full((models,), -torch.inf)
    top = top.scatter_reduce(0, draws.model, draws.log_ratio.nan_to_num(nan=-torch.inf), "amax")
    ratio = (draws.log_ratio - top[draws.model]).exp().nan_to_num(0.0)
    total = ratio.new_zeros(models).index_add(0, draws.model, ratio)
    cumulative = (ratio / total[draws.model]).cumsum(0)  # rises by one with each model
    wanted = torch.arange(models).repeat_interleave(counts)
    step = torch.arange(len(wanted)) - (counts.cumsum(0) - counts)[wanted]
    places = (step + torch.rand(models, dtype=torch.float64)[wanted]) / counts[wanted]
    found = torch.searchsorted(cumulative, wanted + places * (1.0 - 1e-9))
    last = torch.bincount(draws.model, minlength=models).cumsum(0)
    return torch.minimum(
        torch.maximum(found, torch.cat([last.new_zeros(1), last[:-1]])[wanted]), last[wanted] - 1
    )


def log_joint(problem: GeneralisedProblem, modes: Modes, which: Tensor, values: Tensor) -> Tensor:
    r"""Log density of the data and of coefficients of models, shape ``(P,)``; a flat prior's is 1.

    Factors :math:`2\pi` are those of Laplace's method, which has none where each slot has one.

    Args:
        problem: The problem.
        modes: Modes of the models, for the columns of their slots.
        which: Model of each draw, in order, shape ``(P,)``.
        values: Coefficients, 0 in slots that are not in use, shape ``(P, s)``.
    """
    tau = problem.prior_scale.square().reciprocal()
    log_tau = torch.where(tau > 0, torch.log(tau.clamp(min=1e-300)), 0.0)
    constant = torch.where(modes.held, log_tau[modes.place] - math.log(2.0 * math.pi), 0.0).sum(1)
    prior = 0.5 * constant[which] - 0.5 * (tau[modes.place][which] * values.square()).sum(1)
    columns, terms = problem.columns.T, terms_of(problem)
    if len(columns) <= _FEW_COLUMNS:
        full = _laid_out(values, modes.place, modes.held, which, len(columns))
        return prior + torch.cat(
            [
                terms.value(torch.addmm(problem.offset, some, columns))
                for some in full.split(max(1, _BATCH // problem.num_rows))
            ]
        )
    parts = []
    for rows in torch.arange(len(which)).split(max(1, _BATCH // problem.num_rows)):
        model = which[rows]
        first, last = int(model[0]), int(model[-1])
        held, place = modes.held[first : last + 1], modes.place[first : last + 1]
        union, where = torch.unique(place[held], return_inverse=True)
        slots = place.new_zeros(held.shape)
        slots[held] = where
        full = _laid_out(values[rows], slots, held, model - first, len(union))
        parts.append(terms.value(torch.addmm(problem.offset, full, columns[union])))
    return prior + torch.cat(parts)


def _laid_out(values: Tensor, place: Tensor, held: Tensor, which: Tensor, count: int) -> Tensor:
    """Coefficients by column in place of by slot, shape ``(P, count)``.

    Args:
        values: By slot, 0 in slots that are not in use, shape ``(P, s)``.
        place: Column of every slot of the models, shape ``(M, s)``.
        held: Which slots are in use, shape ``(M, s)``.
        which: Model of each row, shape ``(P,)``.
        count: Number of columns.
    """
    slots = torch.where(held, place, count)  # what is not in use goes to a column that is dropped
    full = values.new_zeros(len(values), count + 1)
    return full.scatter_add_(1, slots[which], values)[:, :-1]
