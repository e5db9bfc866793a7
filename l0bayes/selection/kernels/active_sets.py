r"""Active sets of many chains, updated when gates flip."""

from __future__ import annotations

import math
from copy import copy

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_models import ActiveModels

__all__ = ["ActiveSets"]

# Share of a column's variation that the active columns leave unexplained: below this an update would lose too
# many digits, and everything is computed from scratch.
_LEAST_UNEXPLAINED = 1e-6


class ActiveSets(ActiveModels):
    r"""Models of many chains that flip gates, by one rank-1 update for each column.

    With :math:`a = A_{Sj}` for a column j that becomes active, :math:`u = Va`,
    :math:`f_i = A_{ij} - A_{iS} u` and :math:`\delta = d_j`, and for a column that is dropped
    :math:`u = V_{\cdot j}`, :math:`f_i = -A_{iS} u` and :math:`\delta = V_{jj}`, pivots change by
    :math:`\mp f_i^2/\delta`, residuals by :math:`-f_i c` with the coefficient c of the column that becomes
    active or is dropped, and V by :math:`\pm uu'/\delta`. Gates of several columns are
    :class:`~l0bayes.selection.kernels.active_groups.ActiveGroups`.

    Args:
        problem: The problem.
        gates: The models at the start, zeros and ones of shape ``(C, G)``.
        variances: Noise variance of every chain, shape ``(C,)``.
    """

    _by_chain: tuple[str, ...] = (
        *("pivot", "residual", "log_likelihood", "variances", "log_tau"),
        *("place", "held", "inverse", "mean"),
    )

    def flip(self, group: Tensor) -> None:
        """Flip one gate of each chain: open it if it is shut, shut it if it is open.

        Args:
            group: The gate to flip in each chain, shape ``(C,)``.
        """
        first = self.fixed + group * self.width
        opening = ~self.gates[self.chains, group]
        needed = int(self.held.sum(1).max()) + self.width
        if needed > self.held.shape[1]:
            self._reserve(max(needed, math.ceil(1.5 * self.held.shape[1])))
        self.imprecise = False
        for member in range(self.width):
            self._flip_column(first + member, opening)
        self.gates[self.chains, group] = opening
        if self.imprecise:
            self.rebuild()
            return
        self._put_active()
        self._flipped(group, opening)

    def _changing(self, f: Tensor, u: Tensor, delta: Tensor, opening: Tensor) -> None:
        """Update what a subclass keeps besides, before a column is added or dropped."""

    def _flipped(self, group: Tensor, opening: Tensor) -> None:
        """Update what a subclass keeps besides, after a gate has flipped."""

    def _flip_column(self, column: Tensor, opening: Tensor) -> None:
        """Add or drop a column; active entries of ``pivot`` and ``residual`` follow from the slots later."""
        chains = self.chains
        scale = self.variances[:, None]
        own_slot = ((self.place == column[:, None]) & self.held).to(torch.int8).argmax(1)
        # Rows of V whose slot no column uses are zero.
        products = self.moments[column[:, None], self.place] / scale
        opened = torch.bmm(self.inverse, products[:, :, None])[:, :, 0]
        u = torch.where(opening[:, None], opened, self.inverse[chains, :, own_slot])
        f = self._remaining_products(column, u, opening).div_(scale)
        # Within a group active entries of pivot and residual may be out of date; slots never are.
        delta = torch.where(opening, self.pivot[chains, column], self.inverse[chains, own_slot, own_slot])
        alone = torch.where(opening, delta, 1.0 / delta) * self.variances / self.moments[column, column]
        self.imprecise |= bool((alone < _LEAST_UNEXPLAINED).any())
        residual = torch.where(opening, self.residual[chains, column], self.mean[chains, own_slot])
        coefficient = residual / delta
        sign = torch.where(opening, 1.0, -1.0) / delta
        self.residual.addcmul_(f, coefficient[:, None], value=-1.0)
        self._changing(f, u, delta, opening)
        self.pivot.addcmul_(f * sign[:, None], f, value=-1.0)
        self.inverse.baddbmm_((sign[:, None] * u)[:, :, None], u[:, None, :])
        self.mean.addcmul_(u, coefficient[:, None], value=-1.0)
        # The column's own row: in a free slot if it is added, zeros if it is dropped.
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

    def _remaining_products(self, column: Tensor, u: Tensor, opening: Tensor) -> Tensor:
        """Products f, times σ², of a column that is added or dropped with all columns.

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

    def at(self, variances: Tensor) -> ActiveSets:
        """The same models at other noise variances.

        Args:
            variances: Shape ``(C,)``.
        """
        other = copy(self)
        other.variances = variances
        other.rebuild()
        return other

    def rescaled(self, log_scale: Tensor) -> ActiveSets:
        """The same models with slabs of other scales.

        Args:
            log_scale: Logarithms of what slab scales are multiplied by, shape ``(C,)``.
        """
        other = copy(self)
        other.log_scale = log_scale
        other.rebuild()
        return other

    def take(self, other: ActiveSets, chosen: Tensor) -> None:
        """Copy the state of another in some chains; its gates are the same.

        Args:
            other: The other.
            chosen: Whether to copy each chain, shape ``(C,)``.
        """
        slots = max(self.held.shape[1], other.held.shape[1])
        self._reserve(slots)
        other._reserve(slots)
        scaled = () if self.log_scale is None else ("log_scale",)
        for name in (*self._by_chain, *scaled, *(() if self.conjugate is None else ("rate",))):
            mine, theirs = getattr(self, name), getattr(other, name)
            where = chosen.reshape(-1, *(1 for _ in mine.shape[1:]))
            setattr(self, name, torch.where(where, theirs, mine))
        self._put_active()
