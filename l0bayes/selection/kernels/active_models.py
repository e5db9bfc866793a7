r"""Models of many chains: their active columns, and the posterior of the coefficients, from scratch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l0bayes.selection.kernels.column_layout import column_layout
from l0bayes.selection.problem.gaussian_problem import GaussianProblem

__all__ = ["ActiveModels"]

_FIRST_SLOTS = 8


class ActiveModels:
    r"""One model for each of C chains, and the conditional log odds of all its gates.

    For a chain with active columns S and noise variance σ² let
    :math:`A = X'WX/\sigma^2 + \operatorname{diag}\tau`, :math:`V = A_{SS}^{-1}`, and m the posterior mean of
    the active coefficients. The pivot :math:`d_j` and the residual :math:`r_j` of every column j are

    .. math:: d_j = A_{jj} - A_{jS} V A_{Sj}, \quad r_j = b_j - A_{jS}\,m \quad (j \notin S), \qquad
        d_j = V_{jj}, \quad r_j = m_j \quad (j \in S),

    that is the diagonal and the last column of the matrix swept on S. The log Bayes factor of a gate given
    the others is

    .. math:: \tfrac12\log\tau_j - \tfrac12\log d_j + \tfrac12 r_j^2/d_j \quad\text{(shut)}, \qquad
        \tfrac12\log\tau_j + \tfrac12\log d_j + \tfrac12 r_j^2/d_j \quad\text{(open)}

    Where an unknown noise can be integrated out (``conjugate_noise`` of the problem) all is at
    :math:`\sigma^2 = 1`, and with :math:`Q = b + \tfrac12 y'Wy - \tfrac12 b_S'm` the last term becomes
    :math:`\mp\alpha\log(1 \mp \tfrac12 r_j^2/(d_j Q))`. Unpenalised columns are active in every model.

    Args:
        problem: The problem.
        gates: The models at the start, zeros and ones of shape ``(C, G)``.
        variances: Noise variance of every chain, shape ``(C,)``.
        log_scale: Logarithm of what the slab scales of every chain are multiplied by, shape ``(C,)``.
    """

    def __init__(
        self, problem: GaussianProblem, gates: Tensor, variances: Tensor, log_scale: Tensor | None = None
    ) -> None:
        self.problem, self.layout = problem, column_layout(problem)
        self.fixed, self.width, self.groups = self.layout.fixed, self.layout.width, self.layout.groups
        self.order, self.moments, self.vector = self.layout.order, self.layout.moments, self.layout.vector
        self.conjugate = problem.conjugate_noise
        self.degrees = math.nan if self.conjugate is None else problem.conjugate_shape
        self.chains = torch.arange(len(gates))
        self.gates = gates.bool().clone()
        self.log_scale = log_scale
        self.variances = variances.clone() if self.conjugate is None else torch.ones_like(variances)
        self.rebuild()

    @property
    def by_columns(self) -> bool:
        """Whether every gate has one column, and slabs are independent given the noise."""
        return self.width == 1

    @property
    def sizes(self) -> Tensor:
        """Number of open gates of every chain, shape ``(C,)``."""
        return (self.held.sum(1) - self.fixed) // self.width

    @property
    def columns(self) -> Tensor:
        """Place of every gated column of the problem among those kept here, shape ``(p,)``."""
        return self.layout.place[self.fixed : self.fixed + self.problem.num_columns]

    def precision(self, variances: Tensor) -> Tensor:
        """Prior precisions of all columns, shape ``(C, N)``.

        Args:
            variances: Noise variances, shape ``(C,)``.
        """
        real = self.problem.precision(variances)
        if self.log_scale is not None:
            k = self.problem.num_unpenalised
            shrunk = real[:, k:] * torch.exp(-2.0 * self.log_scale)[:, None]
            real = torch.cat([real[:, :k].expand(len(shrunk), k), shrunk], 1)
        ones = real.new_ones(len(variances), len(self.order) - real.shape[1])
        return torch.cat([real, ones], 1)[:, self.order]

    def rebuild(self) -> None:
        """Compute everything from the gates and noise variances, without accumulated rounding errors."""
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
        # Rounding aside, a pivot is never below the prior precision.
        self.pivot = torch.maximum(self.moments.diagonal() / scale + tau - half.square().sum(1), tau)
        self.residual = self.vector / scale - torch.bmm(mean_half.mT, half)[:, 0]
        self._put_active()
        # Log density of the data given the model: half the log prior precisions of active columns are added
        # here, a flat prior's left out.
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
        """Compute from scratch what a subclass keeps besides."""

    # ---- conditionals of the gates ---------------------------------------------------------------

    def log_odds(self) -> Tensor:
        """Log Bayes factor of every gate given the others, without the prior's odds; shape ``(C, G)``."""
        residual, pivot = self.residual[:, self.fixed :], self.pivot[:, self.fixed :]
        sign = torch.where(self.gates, 0.5, -0.5)
        odds: Tensor = 0.5 * self.log_tau[:, self.fixed :] + sign * torch.log(pivot)
        return odds + self._gain(0.5 * residual.square() / pivot)

    def _gain(self, quadratic: Tensor) -> Tensor:
        """Increase of the log likelihood by a group's fit, from its quadratic form; shape ``(C, G)``."""
        if self.conjugate is None:
            return quadratic
        sign = torch.where(self.gates, 1.0, -1.0)
        # A gate that explains nearly everything may have a share beyond 1 by rounding.
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

    # ---- the noise -------------------------------------------------------------------------------

    def noise_record(self) -> Tensor:
        """What is known of every chain's noise: its variance, or the rate of its law; shape ``(C,)``."""
        return self.variances.clone() if self.conjugate is None else self.rate.clone()

    def noise_drawn(self, record: Tensor, gates: Tensor) -> Tensor:
        """Noise variances of models from what was recorded of them, shape ``(S,)``.

        Args:
            record: From :meth:`noise_record`, shape ``(S,)``.
            gates: The models, shape ``(S, G)``.
        """
        if self.conjugate is None:
            return record
        drawn: Tensor = record / torch._standard_gamma(torch.full_like(record, self.degrees))
        return drawn

    # ---- memory ----------------------------------------------------------------------------------

    def _put_active(self) -> None:
        """Copy the active entries of ``pivot`` and ``residual`` from the slots."""
        chain, slot = self.held.nonzero(as_tuple=True)
        place = self.place[chain, slot]
        self.active_entries = chain, slot, place
        self.pivot[chain, place] = self.inverse[chain, slot, slot]
        self.residual[chain, place] = self.mean[chain, slot]

    def _reserve(self, slots: int) -> None:
        """Make room for so many active columns, if there is less."""
        more = slots - self.held.shape[1]
        if more > 0:
            self.inverse = torch.nn.functional.pad(self.inverse, (0, more, 0, more))
            self.mean = torch.nn.functional.pad(self.mean, (0, more))
            self.place = torch.nn.functional.pad(self.place, (0, more))
            self.held = torch.nn.functional.pad(self.held, (0, more))


def _factor(matrices: Tensor) -> Tensor:
    """Cholesky factors; matrices that are singular by rounding are given a ridge of the size of rounding."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrices)
    if bool(failed.any()):
        ridge = 1e-13 * matrices.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
        identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype)
        factor = torch.where(
            (failed > 0)[..., None, None], torch.linalg.cholesky(matrices + ridge * identity), factor
        )
    return factor
