r"""Active sets of chains whose slabs have Zellner's prior."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_groups import ActiveGroups
from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.kernels.zellner_draws import draw_noise, hidden_variance
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.noise_prior import InverseGamma
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.factor_table import FactorTable

__all__ = ["ZellnerSets", "zellner_sets"]

# Slabs so wide, as a share of a column's variation, leave least squares, and repeated columns do not fail.
_RIDGE = 1e-11
# The share of a pivot that is the ridge's, from which a column is one that repeats others.
_REPEATS = 0.01


def zellner_sets(problem: ZellnerProblem, gates: Tensor, factors: FactorTable | None = None) -> ZellnerSets:
    """Models of a problem with Zellner's slabs.

    Args:
        problem: The problem, its slab prior settled.
        gates: The models, zeros and ones of shape ``(C, G)``.
        factors: Table of Bayes factors; made anew if not given.
    """
    if factors is None:
        factors = FactorTable(problem.slab, problem.setting, problem.system.largest_r2)
    single = problem.num_columns == problem.num_groups
    return (_Columns if single else _Groups)(problem, factors, gates)


class ZellnerSets(ActiveSets):
    r"""Active sets in which a gate's odds are a ratio of two Bayes factors.

    Kept are the least squares fits of :class:`~l0bayes.selection.kernels.active_sets.ActiveSets` at
    :math:`\tau \to 0`: with a flip of gate g the residual sum of squares changes by
    :math:`\mp r_g' D_g^{-1} r_g`, and the rank by the number of columns that repeat no others, so that
    R² and rank of all neighbours are known, and with them their Bayes factors.

    Args:
        problem: The problem.
        factors: Table of Bayes factors.
        gates: The models to begin with, zeros and ones of shape ``(C, G)``.
    """

    def __init__(self, problem: ZellnerProblem, factors: FactorTable, gates: Tensor) -> None:
        self.zellner, self.factors = problem, factors
        self.hidden = problem.system.hidden
        super().__init__(problem.kept(_least_squares), gates, torch.ones(len(gates), dtype=torch.float64))
        self.unseen = torch.zeros(self.groups * self.width, dtype=torch.float64)
        self.unseen[self.columns - self.fixed] = hidden_variance(problem)

    @property
    def by_columns(self) -> bool:
        return False

    @property
    def fit(self) -> tuple[Tensor, Tensor]:
        """Rank and R² of every chain's model, each of shape ``(C,)``."""
        place, slots = self.place, self.inverse.diagonal(dim1=1, dim2=2)
        gated = self.held & (place >= self.fixed)
        shares = torch.where(gated, 1.0 - self.log_tau.gather(1, place).exp() * slots, 0.0)
        rank = shares.sum(1).round().long() - self.gates.long() @ self.hidden
        return rank.clamp(min=0), self._share(self.rate)

    def fit_of_slots(self) -> tuple[Tensor, Tensor]:
        r"""Least squares fit of every slot, ``(C, s)``, and F with :math:`FF'` its covariance over σ².

        Directions in which columns repeat one another are left out of both; ``(C, s, s)``.
        """
        gated = self.held & (self.place >= self.fixed)
        root = torch.where(gated, (0.5 * self.log_tau.gather(1, self.place)).exp(), 0.0)
        values, vectors = torch.linalg.eigh(root[:, :, None] * self.inverse * root[:, None, :])
        values = torch.where(values < _REPEATS, values.clamp(min=0.0), 0.0)
        vectors = vectors * (values > 0)[:, None, :]
        unit = torch.where(gated, 1.0 / root.clamp(min=1e-300), 0.0)
        part = vectors.mT @ (root * self.mean)[:, :, None]
        fitted = unit * (vectors @ part)[..., 0]
        return fitted, unit[:, :, None] * vectors * values.sqrt()[:, None, :]

    def log_odds(self) -> Tensor:
        """Log Bayes factor of every gate given the others, without the prior's odds; shape ``(C, G)``."""
        rank, r2 = self.fit
        here = self.factors.log_factors(rank, r2)[:, None]
        there = self.factors.log_factors(*self._neighbours(rank))
        return torch.where(self.gates, here - there, there - here)

    def conditional_moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of every gated coefficient if its gate were open, each ``(C, G * width)``."""
        fitted, inverse = self._least_squares_moments()
        rank, r2 = self.fit
        ranks, shares = self._neighbours(rank)
        ranks = torch.where(self.gates, rank[:, None], ranks)
        shares = torch.where(self.gates, r2[:, None], shares)
        first, second = self.factors.shrinkages(ranks, shares)
        setting = self.zellner.setting
        noise = self.zellner.system.total / (setting.degrees - 2.0) * (first - shares * second)
        inverse = inverse - self.unseen
        tau = self.log_tau[:, self.fixed :]
        repeats = (inverse * tau.exp() >= _REPEATS) & (tau != 0.0)  # those of zeros fill up groups
        if bool(repeats.any()):
            fitted, inverse = self._shared(repeats, fitted, inverse)
        first, second, noise = (one.repeat_interleave(self.width, 1) for one in (first, second, noise))
        variance = (second - first.square()).clamp(min=0.0) * fitted.square()
        return first * fitted, variance + noise * inverse.clamp(min=0.0)

    def _shared(self, repeats: Tensor, fitted: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
        r"""Fits with those of columns that repeat open ones: the shortest of all that fit as well.

        A shut column :math:`x_j = \sum_k c_k x_k` beside coefficients m has :math:`c'm/(1 + c'c)`.
        """
        opened = self.active[:, self.fixed :]
        fitted, inverse = torch.where(repeats, 0.0, fitted), torch.where(repeats, 0.0, inverse)
        chain, column = (repeats & ~opened).nonzero(as_tuple=True)
        products = self.moments[self.place[chain], (column + self.fixed)[:, None]]
        c = (self.inverse[chain] @ products[:, :, None])[..., 0]
        c = torch.where(self.place[chain] >= self.fixed, c, 0.0)
        length = 1.0 + c.square().sum(1)
        values, factor = self.fit_of_slots()
        fitted[chain, column] = (c * values[chain]).sum(1) / length
        spread = (factor[chain].mT @ c[:, :, None])[..., 0].square().sum(1)
        inverse[chain, column] = spread / length.square()
        chain, slot = (self.held & (self.place >= self.fixed)).nonzero(as_tuple=True)
        column = self.place[chain, slot] - self.fixed
        kept = repeats[chain, column]
        chain, slot, column = chain[kept], slot[kept], column[kept]
        fitted[chain, column] = values[chain, slot]
        inverse[chain, column] = factor[chain, slot].square().sum(1)
        return fitted, inverse

    def noise_drawn(self, record: Tensor, gates: Tensor) -> Tensor:
        return draw_noise(self.zellner, *zellner_sets(self.zellner, gates, self.factors).fit)

    def _neighbours(self, rank: Tensor) -> tuple[Tensor, Tensor]:
        """Rank and R² of the model of every chain with each gate flipped, each ``(C, G)``."""
        change, gained = self._flips()
        sign = torch.where(self.gates, -1, 1)
        ranks = (rank[:, None] + sign * change).clamp(min=0)
        return ranks, self._share(self.rate[:, None] - sign * gained)

    def _flips(self) -> tuple[Tensor, Tensor]:
        """Columns of each gate that repeat no others, and half of what it explains, each ``(C, G)``."""
        residual, pivot = self.residual[:, self.fixed :], self.pivot[:, self.fixed :]
        inverse = torch.where(self.gates, pivot, 1.0 / pivot)
        real = inverse * self.log_tau[:, self.fixed :].exp() < _REPEATS
        gained = 0.5 * residual.square() / pivot
        return real.long(), torch.where(real, gained, 0.0)

    def _least_squares_moments(self) -> tuple[Tensor, Tensor]:
        residual, pivot = self.residual[:, self.fixed :], self.pivot[:, self.fixed :]
        mean = torch.where(self.gates, residual, residual / pivot)
        return mean, torch.where(self.gates, pivot, 1.0 / pivot)

    def _share(self, rate: Tensor) -> Tensor:
        """R² from half of a residual sum of squares."""
        total, largest = self.zellner.system.total, self.zellner.system.largest_r2
        return (1.0 - 2.0 * rate / total).clamp(0.0, largest)


class _Columns(ZellnerSets):
    """Gates of one column each."""


class _Groups(ZellnerSets, ActiveGroups):
    """Gates of several columns."""

    def _flips(self) -> tuple[Tensor, Tensor]:
        root = (0.5 * self.log_tau[:, self.fixed :]).exp().reshape(len(self.gates), self.groups, self.width)
        opened = self.gates[:, :, None, None]
        inverse = torch.where(opened, self.blocks, torch.linalg.inv(self.blocks))
        scaled = root[..., :, None] * inverse * root[..., None, :]
        filled = root == 1.0  # columns of zeros that fill up groups
        change = (~filled).sum(-1) - self.hidden
        trace = torch.where(filled, 0.0, scaled.diagonal(dim1=2, dim2=3)).sum(-1)
        chain, group = (trace >= _REPEATS).nonzero(as_tuple=True)
        if len(chain):
            shares = torch.linalg.eigvalsh(scaled[chain, group])
            change = change.clone()
            change[chain, group] = (shares < _REPEATS).sum(-1) - self.hidden[group]
        residual = self.residual[:, self.fixed :].reshape(len(self.gates), self.groups, self.width)
        solved = torch.linalg.solve(self.blocks, residual[..., None])[..., 0]
        return change, torch.where(change > 0, 0.5 * (residual * solved).sum(-1), 0.0)

    def _least_squares_moments(self) -> tuple[Tensor, Tensor]:
        inverse = torch.linalg.inv(self.blocks)
        residual = self.residual[:, self.fixed :].reshape(len(self.gates), self.groups, self.width)
        solved = (inverse @ residual[..., None])[..., 0]
        gates = self.gates[:, :, None]
        mean = torch.where(gates, residual, solved)
        opened, shut = (one.diagonal(dim1=2, dim2=3) for one in (self.blocks, inverse))
        return mean.flatten(1), torch.where(gates, opened, shut).flatten(1)


def _least_squares(problem: ZellnerProblem) -> GaussianProblem:
    """The same columns with slabs that shrink nothing, and rows that hold down what no response shows."""
    system = problem.system
    size = system.matrix.diagonal()
    size = torch.where(size > 0, size, size.max().clamp(min=1e-300))
    extra = len(system.rows)
    zeros = problem.y.new_zeros(extra)
    return GaussianProblem(
        x=torch.cat([problem.x, system.rows]),
        y=torch.cat([problem.y, zeros]),
        prior=InclusionPrior(beta=(1.0, 1.0)),
        slab_scale=(_RIDGE * size).rsqrt(),
        groups=problem.groups,
        unpenalised=torch.cat([problem.unpenalised, zeros[:, None].expand(extra, problem.num_unpenalised)]),
        unpenalised_scale=problem.unpenalised_scale,
        offset=torch.cat([problem.offset, zeros]),
        weights=torch.cat([problem.weights, zeros + 1.0]),
        noise=InverseGamma.jeffreys(),
        slab_scaled_by_noise=True,
    )
