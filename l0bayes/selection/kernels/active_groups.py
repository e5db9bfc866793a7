r"""Active sets of gates that have several columns each."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.problem.gaussian_problem import GaussianProblem

__all__ = ["ActiveGroups", "active_sets"]


def active_sets(
    problem: GaussianProblem, gates: Tensor, variances: Tensor, log_scale: Tensor | None = None
) -> ActiveSets:
    """Active sets of single columns, or of groups where a gate has several.

    Args:
        problem: The problem.
        gates: The models to begin with, zeros and ones of shape ``(C, G)``.
        variances: Noise variance of every chain, shape ``(C,)``.
        log_scale: Logarithm of what the slab scales of every chain are multiplied by, shape ``(C,)``.
    """
    single = problem.num_columns == problem.num_groups
    return (ActiveSets if single else ActiveGroups)(problem, gates, variances, log_scale)


class ActiveGroups(ActiveSets):
    r"""Active sets for groups of columns that share a gate.

    For every group g the block of the swept matrix is kept too,

    .. math:: D_g = A_{gg} - A_{gS} V A_{Sg} \;\;(\text{shut}), \qquad D_g = V_{gg} \;\;(\text{open}),

    which takes the place of :math:`d_j` in the log Bayes factor:

    .. math:: \tfrac12\sum_{j \in g}\log\tau_j \mp \tfrac12\log|D_g| + \tfrac12 r_g' D_g^{-1} r_g.

    Args:
        problem: The problem.
        gates: The models to begin with, zeros and ones of shape ``(C, G)``.
        variances: Noise variance of every chain, shape ``(C,)``.
    """

    _by_chain: tuple[str, ...] = (*ActiveSets._by_chain, "blocks")

    def log_odds(self) -> Tensor:
        """Log Bayes factor of every gate given the others, without the prior's odds; shape ``(C, G)``."""
        count = len(self.gates)
        residual = self.residual[:, self.fixed :].reshape(count, self.groups, self.width, 1)
        factor = torch.linalg.cholesky(self.blocks)
        half = torch.linalg.solve_triangular(factor, residual, upper=False)
        log_det = 2.0 * factor.diagonal(dim1=2, dim2=3).log().sum(-1)
        tau = self.log_tau[:, self.fixed :].reshape(count, self.groups, self.width)
        odds: Tensor = 0.5 * tau.sum(-1) + torch.where(self.gates, 0.5, -0.5) * log_det
        return odds + self._gain(0.5 * half.square().sum((-1, -2)))

    def conditional_moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of every gated coefficient if its gate were open, each ``(C, G * width)``."""
        inverse = torch.linalg.inv(self.blocks)
        residual = self.residual[:, self.fixed :].reshape(len(self.gates), self.groups, self.width)
        solved = (inverse @ residual[..., None])[..., 0]
        gates = self.gates[:, :, None]
        mean = torch.where(gates, residual, solved)
        variance = torch.where(gates, self.blocks.diagonal(dim1=2, dim2=3), inverse.diagonal(dim1=2, dim2=3))
        scale = self._scale(0.5 * (residual * solved).sum(-1))
        return mean.flatten(1), (variance * scale[..., None]).flatten(1)

    def _rebuilt(self, half: Tensor, tau: Tensor) -> None:
        count, w = len(self.gates), self.width
        gated = self.moments[self.fixed :, self.fixed :].reshape(self.groups, w, self.groups, w)
        own = gated.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
        blocks = own / self.variances[:, None, None, None]
        blocks = blocks + torch.diag_embed(tau[:, self.fixed :].reshape(count, self.groups, w))
        part = half[:, :, self.fixed :].reshape(count, -1, self.groups, w)
        blocks = blocks - torch.einsum("ckga,ckgb->cgab", part, part)
        chain, group = self.gates.nonzero(as_tuple=True)
        if len(chain):  # open groups have blocks of V instead
            columns = self._columns_of(group)
            slot = self._slots(chain, columns)
            blocks[chain, group] = self.inverse[chain[:, None, None], slot[:, :, None], slot[:, None, :]]
        self.blocks = blocks

    def _columns_of(self, group: Tensor) -> Tensor:
        """Columns of each of some groups, shape ``(..., width)``."""
        return self.fixed + group[..., None] * self.width + torch.arange(self.width)

    def _slots(self, chain: Tensor, columns: Tensor) -> Tensor:
        """Slots of active columns, shape of ``columns``."""
        here = (self.place[chain][:, None, :] == columns[:, :, None]) & self.held[chain][:, None, :]
        return here.to(torch.int8).argmax(-1)

    def _changing(self, f: Tensor, u: Tensor, delta: Tensor, opening: Tensor) -> None:
        """Rank-1 change of every block: of one sign for columns that change from shut to open or back."""
        chain, slot = self.held.nonzero(as_tuple=True)
        f = f.clone()
        f[chain, self.place[chain, slot]] = u[chain, slot]
        gated = f[:, self.fixed :].reshape(len(f), self.groups, self.width)
        status = (opening[:, None] ^ self.active)[:, self.fixed :].reshape(gated.shape)[:, :, :1]
        signs = torch.where(status, 1.0, -1.0) / delta[:, None, None]
        self.blocks = self.blocks - (signs * gated)[..., None] * gated[:, :, None, :]

    def _flipped(self, group: Tensor, opening: Tensor) -> None:
        """Compute the block of the gate that has flipped from the slots."""
        chains, columns = self.chains, self._columns_of(group)
        cross = self.moments[self.place[:, :, None], columns[:, None, :]] / self.variances[:, None, None]
        cross = torch.where(self.held[:, :, None], cross, 0.0)
        own = self.moments[columns[:, :, None], columns[:, None, :]] / self.variances[:, None, None]
        own = own + torch.diag_embed(torch.exp(self.log_tau.gather(1, columns)))
        shut = own - cross.mT @ (self.inverse @ cross)
        slot = self._slots(chains, columns)
        opened = self.inverse[chains[:, None, None], slot[:, :, None], slot[:, None, :]]
        self.blocks[chains, group] = torch.where(opening[:, None, None], opened, shut)
