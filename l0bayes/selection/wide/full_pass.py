r"""Conditionals of all columns given the models of some chains, by blocked products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.wide.wide_problem import WideProblem

__all__ = ["ActiveProducts", "BlockConditionals", "column_squares", "conditionals_of_all"]


@dataclass(frozen=True)
class BlockConditionals:
    """Conditionals of the columns of a block, for C chains.

    Attributes:
        first: Number of the block's first column.
        open_: Probability that each gate is open given the others, shape ``(C, B)``.
        mean: Mean of each coefficient if its gate were open, shape ``(C, B)``.
        variance: Its variance, shape ``(C, B)``.
    """

    first: int
    open_: Tensor
    mean: Tensor
    variance: Tensor


def column_squares(problem: WideProblem) -> Tensor:
    """Weighted sums of squares of all columns of the model, shape ``(p,)``.

    Args:
        problem: The problem.
    """
    if problem.squares is not None:
        return problem.squares
    weights = problem.weights if problem.weights.numel() else torch.ones(len(problem.y), dtype=torch.float64)
    squares = torch.empty(problem.num_columns, dtype=torch.float64)
    for first, block in problem.source.blocks():
        last = first + block.shape[1]
        values = block.to(torch.float64).sub_(problem.center[first:last]).div_(problem.divisor[first:last])
        squares[first:last] = weights @ values.square_()
    return squares


class ActiveProducts:
    r"""Exact conditionals of any columns given the states of some chains.

    With the active columns S of a chain, V and m its posterior covariance and mean, and
    :math:`a_j = X_S' W x_j/\sigma^2`, pivot and residual of a column that is not active are

    .. math:: d_j = x_j' W x_j/\sigma^2 + \tau_j - a_j' V a_j, \qquad
        r_j = x_j' W (y - o)/\sigma^2 - a_j' m,

    and everything else follows from these as in
    :class:`~l0bayes.selection.kernels.active_models.ActiveModels`. One product of a block of columns with
    those that are active in any of the chains, and the response, serves all chains. No product of two
    inactive columns is ever needed.

    Args:
        problem: The problem.
        sets: The chains, on some of the columns.
        chains: Which of them, shape ``(C,)``.
    """

    def __init__(self, problem: WideProblem, sets: ActiveSets, chains: Tensor) -> None:
        inner, held = sets.problem, sets.held[chains]
        self.problem, self.sets = problem, sets
        used = torch.unique(sets.place[chains][held])
        spot = torch.full((len(sets.order) + 1,), len(used))
        spot[used] = torch.arange(len(used))
        # The last row of products is zeros.
        self.index = torch.where(held, spot[sets.place[chains]], len(used))
        self.inverse, self.mean = sets.inverse[chains], sets.mean[chains]
        self.scale = sets.variances[chains][:, None]
        self.size = sets.sizes[chains][:, None].to(torch.float64)
        self.rate = None if sets.conjugate is None else sets.rate[chains][:, None]
        vectors = torch.cat([inner.columns[:, used], (inner.y - inner.offset)[:, None]], 1)
        self.vectors = vectors * inner.weights[:, None]

    def conditionals(
        self, x: Tensor, squares: Tensor, columns: slice | Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log odds of columns that are not active, and mean and variance of each coefficient if it were.

        Args:
            x: The columns of the model, shape ``(n, B)``.
            squares: Their weighted sums of squares, shape ``(B,)``.
            columns: Their numbers in the problem.

        Returns:
            Three tensors of shape ``(C, B)``; entries of columns that are active in a chain mean nothing.
        """
        products = (self.vectors.to(x.dtype).T @ x).to(torch.float64)
        against = torch.cat([products[:-1], torch.zeros_like(products[:1])])[self.index]
        against /= self.scale[:, :, None]
        slab = self.problem.slab_scale[columns].square().reciprocal()
        tau = slab / self.scale if self.problem.slab_scaled_by_noise else slab.expand(len(self.scale), -1)
        taken = (torch.bmm(self.inverse, against) * against).sum(1)
        pivot = torch.maximum(squares / self.scale + tau - taken, tau)
        residual = products[-1] / self.scale - torch.bmm(self.mean[:, None], against)[:, 0]
        quadratic = 0.5 * residual.square() / pivot
        variance, gain = pivot.reciprocal(), quadratic
        if self.rate is not None:
            degrees = self.sets.degrees
            unexplained = (1.0 - quadratic / self.rate).clamp_(min=1e-12)
            gain = -degrees * unexplained.log()
            variance = variance * unexplained * (self.rate / (degrees - 1.0))
        odds = 0.5 * (tau.log() - pivot.log()) + gain
        odds += _odds_beside(self.problem.prior, self.size, self.problem.num_columns, columns)
        return odds, residual / pivot, variance


def conditionals_of_all(
    problem: WideProblem, squares: Tensor, sets: ActiveSets, chains: Tensor, columns: Tensor
) -> Iterator[BlockConditionals]:
    """Exact conditionals of every gate of the problem given the states of some chains, a block at a time.

    Args:
        problem: The problem.
        squares: Weighted sums of squares of all columns, from :func:`column_squares`.
        sets: The chains, on some of the columns.
        chains: Which of them, shape ``(C,)``.
        columns: Numbers in the problem of the gated columns of the chains, shape ``(m,)``.
    """
    active = ActiveProducts(problem, sets, chains)
    opened = _of_active(problem, sets, chains, columns)
    for first, block in problem.source.blocks():
        last = first + block.shape[1]
        block.sub_(problem.center[first:last].to(block)).div_(problem.divisor[first:last].to(block))
        odds, mean, variance = active.conditionals(block, squares[first:last], slice(first, last))
        found = BlockConditionals(first, torch.sigmoid(odds), mean, variance)
        opened.put_into(found, last)
        yield found


@dataclass(frozen=True)
class _Opened:
    """Conditionals of the gates that are open: their columns are active, and known from the chains."""

    chain: Tensor
    column: Tensor
    open_: Tensor
    mean: Tensor
    variance: Tensor

    def put_into(self, block: BlockConditionals, last: int) -> None:
        here = (self.column >= block.first) & (self.column < last)
        where = self.chain[here], self.column[here] - block.first
        block.open_[where] = self.open_[here]
        block.mean[where] = self.mean[here]
        block.variance[where] = self.variance[here]


def _of_active(problem: WideProblem, sets: ActiveSets, chains: Tensor, columns: Tensor) -> _Opened:
    place, inverse, mean = sets.place[chains], sets.inverse[chains], sets.mean[chains]
    chain, slot = (sets.held[chains] & (place >= sets.fixed)).nonzero(as_tuple=True)
    column = columns[place[chain, slot] - sets.fixed]
    beta, variance = mean[chain, slot], inverse[chain, slot, slot]
    noise = sets.variances[chains][chain]
    tau = problem.slab_scale[column].square().reciprocal()
    tau = tau / noise if problem.slab_scaled_by_noise else tau
    gain = 0.5 * beta.square() / variance
    odds = 0.5 * (tau.log() + variance.log())
    if sets.conjugate is not None:
        rate = sets.rate[chains][chain]
        gain = (gain / rate).log1p() * sets.degrees
        variance = variance * rate / (sets.degrees - 1.0)
    others = (sets.sizes[chains][chain] - 1).to(torch.float64)
    odds = odds + gain + _odds_beside(problem.prior, others, problem.num_columns, column)
    return _Opened(chain, column, torch.sigmoid(odds), beta, variance)


def _odds_beside(prior: InclusionPrior, others: Tensor, count: int, columns: slice | Tensor) -> Tensor:
    """Prior log odds of some columns beside so many open gates."""
    if prior.log_odds is not None:
        return prior.log_odds[columns].to(torch.float64)
    return prior.log_odds_beside(others, count)
