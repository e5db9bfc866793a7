r"""Active sets of many chains, with what every flip of a gate would change."""

from __future__ import annotations

import math
from copy import copy

import torch
from torch import Tensor

from l0bayes.selection.problem.gaussian_problem import GaussianProblem

__all__ = ["ActiveSets"]

_FIRST_SLOTS = 8
# What the others leave of a column, as a share of it, below which an update loses too many digits.
_WORN = 1e-6


class ActiveSets:
    r"""One model for each of C chains, and the conditional log odds of all its gates.

    For a chain with active columns S and noise variance σ² let
    :math:`A = X'WX/\sigma^2 + \operatorname{diag}\tau`, :math:`V = A_{SS}^{-1}`, and m the posterior mean of
    the active coefficients. Kept for every column j are

    .. math:: d_j = A_{jj} - A_{jS} V A_{Sj}, \quad r_j = b_j - A_{jS}\,m \quad (j \notin S), \qquad
        d_j = V_{jj}, \quad r_j = m_j \quad (j \in S),

    that is the diagonal and the last column of the matrix swept on S. A flip is one rank-1 update of them,
    with the sign that the direction gives it. The log Bayes factor of a gate given the others is

    .. math:: \tfrac12\log\tau_j - \tfrac12\log d_j + \tfrac12 r_j^2/d_j \quad\text{(out)}, \qquad
        \tfrac12\log\tau_j + \tfrac12\log d_j + \tfrac12 r_j^2/d_j \quad\text{(in)}

    Where an unknown noise can be integrated
    out (``conjugate_noise`` of the problem) all is at :math:`\sigma^2 = 1`, and with
    :math:`Q = b + \tfrac12 y'Wy - \tfrac12 b_S'm` the last term becomes
    :math:`\mp\alpha\log(1 \mp \tfrac12 r_j^2/(d_j Q))`. Columns without a gate are always active. Gates
    of several columns are :class:`~l0bayes.selection.kernels.active_groups.ActiveGroups`.

    Args:
        problem: The problem.
        gates: The models to begin with, zeros and ones of shape ``(C, G)``.
        variances: Noise variance of every chain, shape ``(C,)``.
    """

    _by_chain: tuple[str, ...] = (
        *("pivot", "residual", "log_likelihood", "variances", "log_tau"),
        *("place", "held", "inverse", "mean"),
    )

    def __init__(self, problem: GaussianProblem, gates: Tensor, variances: Tensor) -> None:
        gram = problem.gram
        self.fixed = problem.num_unpenalised
        members = problem.group_columns
        self.width = max(len(group) for group in members)
        self.groups = len(members)
        self.problem = problem
        self.conjugate = problem.conjugate_noise
        self.degrees = math.nan if self.conjugate is None else problem.conjugate_shape
        pads = self.groups * self.width - problem.num_columns
        size = self.fixed + problem.num_columns + pads
        order, spare = [*range(self.fixed)], self.fixed + problem.num_columns
        for group in members:
            order += [self.fixed + column for column in group]
            order += range(spare, spare := spare + self.width - len(group))
        self.order = torch.tensor(order)
        self.moments, self.vector = gram.matrix, gram.vector
        if pads:
            self.moments = torch.nn.functional.pad(self.moments, (0, pads, 0, pads))
            self.vector = torch.nn.functional.pad(self.vector, (0, pads))
        if not torch.equal(self.order, torch.arange(size)):  # a copy, of the largest thing there is
            self.moments = self.moments[self.order][:, self.order].contiguous()
            self.vector = self.vector[self.order]
        self.chains = torch.arange(len(gates))
        self.gates = gates.bool().clone()
        self.variances = variances.clone() if self.conjugate is None else torch.ones_like(variances)
        self.rebuild()

    @property
    def sizes(self) -> Tensor:
        """Number of open gates of every chain, shape ``(C,)``."""
        return (self.held.sum(1) - self.fixed) // self.width

    @property
    def columns(self) -> Tensor:
        """Place of every gated column of the problem among those kept here, shape ``(p,)``."""
        place = torch.empty_like(self.order)
        place[self.order] = torch.arange(len(self.order))
        return place[self.fixed : self.fixed + self.problem.num_columns]

    # ---- from scratch ----------------------------------------------------------------------------

    def precision(self, variances: Tensor) -> Tensor:
        """Prior precisions of all columns, shape ``(C, N)``.

        Args:
            variances: Noise variances, shape ``(C,)``.
        """
        real = self.problem.precision(variances)
        ones = real.new_ones(len(variances), len(self.order) - real.shape[1])
        return torch.cat([real, ones], 1)[:, self.order]

    def rebuild(self) -> None:
        """Everything from the gates and noise variances, free of what rounding has built up."""
        count, fixed = len(self.gates), self.fixed
        active = torch.cat(
            [self.gates.new_ones(count, fixed), self.gates.repeat_interleave(self.width, 1)], 1
        )
        used = active.sum(1)
        slots = min(active.shape[1], max(_FIRST_SLOTS, int(used.max()) + self.width + 2))
        held = torch.arange(slots) < used[:, None]
        place = torch.zeros(count, slots, dtype=torch.long)
        place[held] = active.nonzero()[:, 1]  # both go chain by chain, in order
        self.active, self.place, self.held = active, place, held
        tau = self.precision(self.variances)
        self.log_tau = torch.log(tau.clamp(min=1e-300))
        scale = self.variances[:, None]
        inner = self.moments[place[:, :, None], place[:, None, :]] / scale[:, :, None]
        both = held[:, :, None] & held[:, None, :]
        inner = torch.where(both, inner, 0.0)
        diagonal = torch.where(held, tau.gather(1, place), 1.0)
        inner = inner + torch.diag_embed(diagonal)
        factor = _factor(inner)
        rows = torch.where(held[:, :, None], self.moments[place], 0.0) / scale[:, :, None]
        half = torch.linalg.solve_triangular(factor, rows, upper=False)
        target = torch.where(held, self.vector[place], 0.0) / scale
        mean_half = torch.linalg.solve_triangular(factor, target[:, :, None], upper=False)
        inverse = torch.cholesky_inverse(factor)
        self.inverse = torch.where(both, inverse, 0.0)
        self.mean = torch.linalg.solve_triangular(factor.mT, mean_half, upper=True)[:, :, 0]
        # Never below the prior precision, but for rounding.
        self.pivot = torch.maximum(self.moments.diagonal() / scale + tau - half.square().sum(1), tau)
        self.residual = self.vector / scale - torch.bmm(mean_half.mT, half)[:, 0]
        self._put_active()
        # Log density of the data given the model, but for the prior precisions' half logarithms, which
        # are added here for active columns.
        log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        quadratic = 0.5 * mean_half.square().sum((1, 2))
        flat = torch.isinf(self.problem.unpenalised_scale)
        counted = self.active.clone()
        counted[:, :fixed] &= ~flat
        prior = 0.5 * torch.where(counted, self.log_tau, 0.0).sum(1)
        self.log_likelihood = self.problem.log_density_at_zero(self.variances) + prior - log_det + quadratic
        if self.conjugate is not None:
            self.rate = self.conjugate.rate + 0.5 * self.problem.gram.square - quadratic
        self._rebuilt(half, tau)

    def _rebuilt(self, half: Tensor, tau: Tensor) -> None:
        """What else is kept, from scratch."""

    # ---- what the gates would do -----------------------------------------------------------------

    def log_odds(self) -> Tensor:
        """Log Bayes factor of every gate given the others, without the prior's odds; shape ``(C, G)``."""
        residual, pivot = self.residual[:, self.fixed :], self.pivot[:, self.fixed :]
        sign = torch.where(self.gates, 0.5, -0.5)
        odds: Tensor = 0.5 * self.log_tau[:, self.fixed :] + sign * torch.log(pivot)
        return odds + self._gain(0.5 * residual.square() / pivot)

    def _gain(self, quadratic: Tensor) -> Tensor:
        """What the fit of a group adds to the log likelihood, from its quadratic form; shape ``(C, G)``."""
        if self.conjugate is None:
            return quadratic
        sign = torch.where(self.gates, 1.0, -1.0)
        # Rounding can leave a gate that explains all with a share beyond 1.
        share = (sign * quadratic / self.rate[:, None]).clamp_(min=-1.0 + 1e-12)
        gain: Tensor = share.log1p_().mul_(sign).mul_(self.degrees)
        return gain

    def conditional_moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of every gated coefficient if its gate were open, each ``(C, G * width)``."""
        residual, pivot = self.residual[:, self.fixed :], self.pivot[:, self.fixed :]
        mean = torch.where(self.gates, residual, residual / pivot)
        variance = torch.where(self.gates, pivot, 1.0 / pivot)
        return mean, variance * self._scale(0.5 * residual.square() / pivot)

    def _scale(self, quadratic: Tensor) -> Tensor:
        """Posterior mean of the noise variance with each gate open; 1 where it is not integrated out."""
        if self.conjugate is None:
            return torch.ones_like(quadratic)
        rate = self.rate[:, None] - torch.where(self.gates, 0.0, quadratic)
        scale: Tensor = rate.clamp(min=1e-300) / (self.degrees - 1.0)
        return scale

    # ---- flips -----------------------------------------------------------------------------------

    def flip(self, group: Tensor) -> None:
        """Open what is shut and shut what is open.

        Args:
            group: The group to flip in each chain, shape ``(C,)``.
        """
        first = self.fixed + group * self.width
        opening = ~self.gates[self.chains, group]
        needed = int(self.held.sum(1).max()) + self.width
        if needed > self.held.shape[1]:
            self._reserve(max(needed, math.ceil(1.5 * self.held.shape[1])))
        self.worn = False
        for member in range(self.width):
            self._flip_column(first + member, opening)
        self.gates[self.chains, group] = opening
        if self.worn:
            self.rebuild()
            return
        self._put_active()
        self._flipped(group, opening)

    def _changing(self, f: Tensor, u: Tensor, delta: Tensor, opening: Tensor) -> None:
        """What else is kept, before a column changes sides."""

    def _flipped(self, group: Tensor, opening: Tensor) -> None:
        """What else is kept, after a group has changed sides."""

    def _flip_column(self, column: Tensor, opening: Tensor) -> None:
        """All but the active entries of ``pivot`` and ``residual``, which come from the slots."""
        chains = self.chains
        scale = self.variances[:, None]
        own_slot = ((self.place == column[:, None]) & self.held).to(torch.int8).argmax(1)
        # Opening: u = V a with a the column's products with the active ones; shutting: a column of V. Rows of
        # V that no column holds are zero.
        products = self.moments[column[:, None], self.place] / scale
        opened = torch.bmm(self.inverse, products[:, :, None])[:, :, 0]
        u = torch.where(opening[:, None], opened, self.inverse[chains, :, own_slot])
        f = self._products_left(column, u, opening).div_(scale)
        # Active entries of pivot and residual may be stale within a group; slots never are.
        delta = torch.where(opening, self.pivot[chains, column], self.inverse[chains, own_slot, own_slot])
        alone = torch.where(opening, delta, 1.0 / delta) * self.variances / self.moments[column, column]
        self.worn |= bool((alone < _WORN).any())
        left = torch.where(opening, self.residual[chains, column], self.mean[chains, own_slot])
        coefficient = left / delta
        sign = torch.where(opening, 1.0, -1.0) / delta
        self.residual.addcmul_(f, coefficient[:, None], value=-1.0)
        self._changing(f, u, delta, opening)
        self.pivot.addcmul_(f * sign[:, None], f, value=-1.0)
        self.inverse.baddbmm_((sign[:, None] * u)[:, :, None], u[:, None, :])
        self.mean.addcmul_(u, coefficient[:, None], value=-1.0)
        # The column's own row: a free slot where it opens, nothing where it shuts.
        slot = torch.where(opening, (~self.held).to(torch.int8).argmax(1), own_slot)
        row = torch.where(opening[:, None], -u / delta[:, None], 0.0)
        self.inverse[chains, slot] = row
        self.inverse[chains, :, slot] = row
        self.inverse[chains, slot, slot] = torch.where(opening, 1.0 / delta, 0.0)
        self.mean[chains, slot] = torch.where(opening, coefficient, 0.0)
        self.place[chains, slot] = column
        self.held[chains, slot] = opening
        self.active[chains, column] = opening
        self.pivot[chains, column] = 1.0 / delta
        self.residual[chains, column] = coefficient
        gained = 0.5 * coefficient.square() * delta
        tau = 0.5 * self.log_tau[chains, column]
        half_log = 0.5 * torch.log(delta)
        self.log_likelihood = self.log_likelihood + torch.where(
            opening, tau - half_log + gained, -(tau + half_log + gained)
        )
        if self.conjugate is not None:
            self.rate = self.rate - torch.where(opening, gained, -gained)

    def _products_left(self, column: Tensor, u: Tensor, opening: Tensor) -> Tensor:
        """Products of the column (where it opens) with all others, less what u says of the active ones.

        A sparse matrix times the moments: this is where large problems spend their time.
        """
        entries = torch.cat([-u, opening.to(u.dtype)[:, None]], 1)
        columns = torch.cat([self.place, column[:, None]], 1)
        rows = self.chains[:, None].expand_as(columns)
        size = (len(u), len(self.moments))
        sparse = torch.sparse_coo_tensor(
            torch.stack([rows.flatten(), columns.flatten()]), entries.flatten(), size, check_invariants=False
        )
        product: Tensor = torch.sparse.mm(sparse, self.moments)
        return product

    def _put_active(self) -> None:
        """Active entries of ``pivot`` and ``residual``, from the slots."""
        chain, slot = self.held.nonzero(as_tuple=True)
        place = self.place[chain, slot]
        self.holders = chain, slot, place
        self.pivot[chain, place] = self.inverse[chain, slot, slot]
        self.residual[chain, place] = self.mean[chain, slot]

    def at(self, variances: Tensor) -> ActiveSets:
        """The same models at other noise variances.

        Args:
            variances: Shape ``(C,)``.
        """
        other = copy(self)
        other.variances = variances
        other.rebuild()
        return other

    def take(self, other: ActiveSets, chosen: Tensor) -> None:
        """The state of another in some chains; its gates are the same.

        Args:
            other: From where.
            chosen: Which chains, shape ``(C,)``.
        """
        slots = max(self.held.shape[1], other.held.shape[1])
        self._reserve(slots)
        other._reserve(slots)
        for name in self._by_chain:
            mine, theirs = getattr(self, name), getattr(other, name)
            where = chosen.reshape(-1, *(1 for _ in mine.shape[1:]))
            setattr(self, name, torch.where(where, theirs, mine))
        self._put_active()

    def _reserve(self, slots: int) -> None:
        """Room for so many active columns, where there is less."""
        more = slots - self.held.shape[1]
        if more > 0:
            self.inverse = torch.nn.functional.pad(self.inverse, (0, more, 0, more))
            self.mean = torch.nn.functional.pad(self.mean, (0, more))
            self.place = torch.nn.functional.pad(self.place, (0, more))
            self.held = torch.nn.functional.pad(self.held, (0, more))


def _factor(matrices: Tensor) -> Tensor:
    """Cholesky factors; of what rounding has made singular, with a ridge of the size of rounding."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrices)
    if bool(failed.any()):
        ridge = 1e-13 * matrices.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
        identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype)
        factor = torch.where(
            (failed > 0)[..., None, None], torch.linalg.cholesky(matrices + ridge * identity), factor
        )
    return factor
