r"""Proposals of coefficients: Student-t laws about modes, with a scale on each side of every axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.kernels.design import Gathered
from l0bayes.selection.kernels.laplace import Modes
from l0bayes.selection.kernels.response_terms import terms_of
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem

__all__ = ["SplitLaw", "factors_at", "side_scales"]

# Degrees of freedom of one coefficient; more with more of them, whose norm would vary too much otherwise.
_DEGREES = 8.0
# Where along an axis the fall of the log density is looked at, in standard deviations by the curvature.
_PLACES = (1.0, 2.5, 6.0)
# Scales beside those by the curvature; in a direction without data it may be far too small.
_NARROWEST, _WIDEST = 0.5, 50.0
# Of log densities that are not concave: the share of draws from far away, and the scale of these.
_FAR_SHARE, _FAR_SCALE = 0.1, 4.0
_BATCH = 2**16


@dataclass(frozen=True)
class SplitLaw:
    r"""Laws of the coefficients of C models, one each.

    With the mode m, a factor :math:`LL'` of the curvature, :math:`x = L'(\beta - m)`, and
    :math:`u_j = x_j / h_j` for positive and :math:`x_j / l_j` for negative ones,

    .. math:: q(\beta) = |L|\;t_\nu(u) \prod_j \frac{2}{l_j + h_j},

    which is continuous, and a multivariate Student-t law where all scales are 1. Where the log density is not
    concave there may be more modes, and a share of the draws is from a Cauchy law of larger scale.

    Source: Geweke 1989, "Bayesian inference in econometric models using Monte Carlo integration", whose law
    jumps at the mode.

    Attributes:
        mode: Shape ``(C, s)``.
        factor: L, lower triangular, shape ``(C, s, s)``; of slots not in use the identity.
        low, high: l and h, shape ``(C, s)``.
        held: Which slots are in use, shape ``(C, s)``.
        far: Whether a share of the draws is from far away.
    """

    mode: Tensor
    factor: Tensor
    low: Tensor
    high: Tensor
    held: Tensor
    far: bool = False

    def draw(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Draws and their log densities, shapes ``(P, s)``, 0 in slots that are not in use, and ``(P,)``.

        Args:
            which: The model of each draw, shape ``(P,)``.
        """
        held = self.held[which]
        low, high = self.low[which], self.high[which]
        size = held.sum(1).to(torch.float64)
        degrees = _DEGREES + size
        away = torch.rand(len(which)) < (_FAR_SHARE if self.far else 0.0)
        own = torch.where(away, 1.0, degrees)
        normal = torch.randn(held.shape, dtype=torch.float64) * held
        mix = (torch._standard_gamma(0.5 * own) / (0.5 * own)).rsqrt() * torch.where(away, _FAR_SCALE, 1.0)
        length = (normal * mix[:, None]).abs()
        above = torch.rand(held.shape, dtype=torch.float64) * (low + high) < high
        x = torch.where(above, high, -low) * length
        square = length.square().sum(1)
        logs = _log_t(square, degrees, size)
        if self.far:
            beyond = _log_t(square / _FAR_SCALE**2, torch.ones_like(size), size) - size * math.log(_FAR_SCALE)
            logs = torch.logaddexp(logs + math.log1p(-_FAR_SHARE), beyond + math.log(_FAR_SHARE))
        own = self.factor.diagonal(dim1=1, dim2=2).log() + math.log(2.0) - torch.log(self.low + self.high)
        logs = logs + torch.where(self.held, own, 0.0).sum(1)[which]
        # A factor is inverted once, its draws are many.
        identity = torch.eye(self.factor.shape[1], dtype=torch.float64)
        inverse = torch.linalg.solve_triangular(self.factor, identity, upper=False)
        step = torch.bmm(x[:, None], inverse[which])[:, 0]
        return torch.where(held, self.mode[which] + step, 0.0), logs


def _log_t(square: Tensor, degrees: Tensor, size: Tensor) -> Tensor:
    """Log density of a multivariate Student-t law at points of a squared length."""
    half = 0.5 * (degrees + size)
    constant = torch.lgamma(half) - torch.lgamma(0.5 * degrees) - 0.5 * size * torch.log(degrees * math.pi)
    return constant - half * torch.log1p(square / degrees)


def factors_at(problem: GeneralisedProblem, modes: Modes) -> Tensor:
    """Cholesky factors of the curvature of the log posterior at modes, shape ``(M, s, s)``.

    Args:
        problem: The problem.
        modes: Modes of the models.
    """
    design_of, terms = Gathered.over(problem), terms_of(problem)
    width = modes.place.shape[1]
    parts = [
        terms.factor(design_of(modes.place[some], modes.held[some]), modes.coefficients[some])
        for some in torch.arange(len(modes.place)).split(max(1, _BATCH // (problem.num_rows * width)))
    ]
    return torch.cat(parts) if parts else modes.coefficients.new_zeros(0, width, width)


def side_scales(problem: GeneralisedProblem, modes: Modes, factor: Tensor) -> tuple[Tensor, Tensor]:
    r"""Scales on both sides of every axis by how far the log density has fallen there, each ``(M, s)``.

    With the fall :math:`\Delta(\delta)` at :math:`m + \delta L^{-\mathsf T}e_j` the scale on that side is the
    largest :math:`|\delta| / \sqrt{2\Delta(\delta)}`, which is 1 under a Normal law.

    Args:
        problem: The problem.
        modes: Modes of the models.
        factor: Their factors.
    """
    width, n = modes.place.shape[1], problem.num_rows
    design_of, terms = Gathered.over(problem), terms_of(problem)
    places = torch.tensor([sign * place for sign in (-1.0, 1.0) for place in _PLACES], dtype=torch.float64)
    found = []
    for some in torch.arange(len(modes.place)).split(max(1, _BATCH // (n * width * len(places)))):
        design = design_of(modes.place[some], modes.held[some])
        mode, own = modes.coefficients[some], factor[some]
        identity = torch.eye(width, dtype=torch.float64).expand(own.shape)
        axes = torch.linalg.solve_triangular(own.mT, identity, upper=True).mT  # one a row
        points = mode[:, None] + (places[:, None, None] * axes[:, None]).flatten(1, 2)
        eta = problem.offset + points @ design.columns
        tau = torch.where(modes.held[some], design.precision, 0.0)
        value = terms.value(eta.flatten(0, 1)).reshape(eta.shape[:2]) - 0.5 * (
            points.square() * tau[:, None]
        ).sum(2)
        top = terms.value(design.predictor(mode)) - 0.5 * (mode.square() * tau).sum(1)
        fall = (top[:, None] - value).reshape(len(some), 2, len(_PLACES), width)
        scale = places[-len(_PLACES) :, None] / (2.0 * fall).clamp(min=1e-8).sqrt()
        found.append(scale.nan_to_num(_NARROWEST).amax(2).clamp(_NARROWEST, _WIDEST))
    scales = torch.cat(found)
    return scales[:, 0], scales[:, 1]
