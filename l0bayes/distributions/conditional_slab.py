r"""Slabs that depend on which gates are open, and on one another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, constraints, kl_divergence, register_kl

from l0bayes.distributions.slab_law import SlabLaw

__all__ = ["ConditionalSlab"]

_LOG_2PI = math.log(2.0 * math.pi)


class ConditionalSlab(SlabLaw):
    r"""Law of the slabs of a site given its gates: the open block of one Gaussian.

    With the precision :math:`\Lambda = S^{-1} C S^{-1}`, :math:`S = \operatorname{diag}(s)`, and the vector
    :math:`h = S^{-2} m`, and with o the set of open weights,

    .. math:: \theta_o \mid z \sim N(\Lambda_{oo}^{-1} h_o,\; \Lambda_{oo}^{-1}), \qquad
        \theta_j \mid z \sim N(\mu_j, \tau_j^2) \quad\text{for each shut weight.}

    C has a unit diagonal, so that :math:`m_j` and :math:`s_j` are mean and standard deviation of a weight
    that is open alone; with :math:`C = I` all weights are independent and forget the others' gates.
    The exact posterior of a linear Gaussian model is of this form: with noise σ and slab prior
    :math:`N(0, \tau^2)`, :math:`\Lambda = X'X / \sigma^2 + I / \tau^2` and :math:`h = X'y / \sigma^2`.

    The law of shut weights is meant to be the prior, under which they cost nothing; the KL to a prior assumes
    that it is:

    .. math:: \mathrm{KL}(q(\theta \mid z)\,\|\,p) = \sum_{j \in o} \mathrm{KL}(N(\bar\theta_j, v_j)\,\|\,p_j)
        + \tfrac12 \sum_{j \in o} \log (C_{oo}^{-1})_{jj} + \tfrac12 \log |C_{oo}|

    with mean and variance of each weight in the open block, and any elementwise prior that has a KL from the
    Normal. All draws share one batched Cholesky factorisation, of C with rows of the identity where weights
    are shut; a factor of rank :math:`r < p/2` takes the Woodbury form instead, in :math:`O(p r^2)`.

    Args:
        loc: m, shape ``event_shape``.
        scale: s, positive, of the same shape.
        factor: F in :math:`C = F F' + D`, shape ``(p, r)`` with p the number of weights.
        diagonal: D, shape ``(p,)``, not negative; positive where r < p/2. The diagonal of C must be 1.
        open: 1 where a weight is open and 0 where it is shut, shape ``batch_shape + event_shape``.
        shut_loc: μ, broadcastable to ``event_shape``.
        shut_scale: τ, positive, broadcastable to it.

    Raises:
        ValueError: If shapes do not match, or, with validation on, a parameter is out of range.
    """

    arg_constraints = {"scale": constraints.positive, "shut_scale": constraints.positive}
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        factor: Tensor,
        diagonal: Tensor,
        open: Tensor,  # noqa: A002 - the field's word
        shut_loc: Tensor | float = 0.0,
        shut_scale: Tensor | float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        event_shape, count = loc.shape, loc.numel()
        fits = scale.shape == event_shape and open.shape[open.dim() - len(event_shape) :] == event_shape
        if not (fits and factor.shape[:-1] == (count,) and diagonal.shape == (count,)):
            raise ValueError(
                "loc, scale and the trailing dimensions of open have one shape, with a row of factor and an "
                f"entry of diagonal for each weight; got {tuple(loc.shape)}, {tuple(scale.shape)}, "
                f"{tuple(open.shape)}, {tuple(factor.shape)} and {tuple(diagonal.shape)}"
            )
        self.loc, self.scale, self.factor, self.diagonal = loc, scale, factor, diagonal
        self.open = open
        self.shut_loc = torch.as_tensor(shut_loc).to(loc).expand(event_shape)
        self.shut_scale = torch.as_tensor(shut_scale).to(loc).expand(event_shape)
        self._cached: _Block | None = None
        batch_shape = open.shape[: open.dim() - len(event_shape)]
        TorchDistribution.__init__(self, batch_shape, event_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The real numbers."""
        return (
            constraints.independent(constraints.real, self.event_dim) if self.event_dim else constraints.real
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same law with a larger batch shape, of its own type."""
        batch_shape = torch.Size(batch_shape)
        new: Self = self._get_checked_instance(ConditionalSlab, _instance)
        for name in ("loc", "scale", "factor", "diagonal", "shut_loc", "shut_scale"):
            setattr(new, name, getattr(self, name))
        new.open = self.open.expand(batch_shape + self.event_shape)
        new._cached = self._cached
        TorchDistribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def detach(self) -> Self:
        """The same law with its parameters held fixed."""
        new = self.expand(self.batch_shape)
        for name in ("loc", "scale", "factor", "diagonal"):
            setattr(new, name, getattr(self, name).detach())
        new._cached = self._block.detach()
        return new

    # ---- the open block, in units of the scale -----------------------------------------------------

    @property
    def _is_open(self) -> Tensor:
        """The open weights as zeros and ones, flat, in the precision of the parameters."""
        flat = self.open.reshape(*self.batch_shape, self.loc.numel())
        return (flat > 0.5).to(self.loc.dtype)

    @property
    def _block(self) -> _Block:
        if self._cached is None:
            count, rank = self.factor.shape
            kind = _LowRankBlock if 2 * rank < count else _DenseBlock
            self._cached = kind.of(self.factor, self.diagonal, self._is_open)
        return self._cached

    def _standardised_mean(self) -> Tensor:
        r""":math:`C_{oo}^{-1} (m / s)_o`, zero where shut."""
        return self._block.solve((self.loc / self.scale).flatten() * self._is_open)

    def _shaped(self, flat: Tensor) -> Tensor:
        return flat.reshape(flat.shape[:-1] + self.event_shape)

    @property
    def mean(self) -> Tensor:
        """Mean of every weight given the gates, of shape ``batch_shape + event_shape``."""
        is_open = self._shaped(self._is_open)
        mean = self._shaped(self._standardised_mean()) * self.scale
        return torch.where(is_open > 0, mean, self.shut_loc)

    @property
    def variance(self) -> Tensor:
        """Variance of every weight given the gates, of the same shape."""
        is_open = self._shaped(self._is_open)
        variance = self._shaped(self._block.inverse_diagonal()) * self.scale.square()
        return torch.where(is_open > 0, variance, self.shut_scale.square())

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Differentiable draws of shape ``sample_shape + batch_shape + event_shape``."""
        shape = torch.Size(sample_shape) + self.batch_shape
        count = self.loc.numel() + self._block.further_noise
        noise = torch.randn((*shape, count), dtype=self.loc.dtype, device=self.loc.device)
        x = self._block.draw(noise) + self._standardised_mean()
        shut = self.shut_loc + self.shut_scale * self._shaped(noise[..., : self.loc.numel()])
        return torch.where(self._shaped(self._is_open) > 0, self._shaped(x) * self.scale, shut)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Draws without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob_open(self, value: Tensor, is_open: Tensor | None = None) -> Tensor:
        """Log density of the open weights alone, batch shape: shut ones are left out.

        Args:
            value: Weights, shape ``(..., *event_shape)``.
            is_open: Not read: the law was made for the weights that are open.
        """
        is_open = self._is_open
        x = (value / self.scale).reshape(*value.shape[: value.dim() - len(self.event_shape)], -1)
        away = (x - self._standardised_mean()) * is_open
        along = (away[..., None, :] @ self.factor)[..., 0, :]
        quadratic = along.square().sum(-1) + (self.diagonal * away.square()).sum(-1)
        constant = (is_open * (self.scale.log().flatten() + 0.5 * _LOG_2PI)).sum(-1)
        return 0.5 * (self._block.log_det() - quadratic) - constant

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of all weights, batch shape."""
        shut = 1.0 - self._shaped(self._is_open)
        of_shut = Normal(self.shut_loc, self.shut_scale, validate_args=False).log_prob(value) * shut
        dims = len(self.event_shape)
        of_shut = of_shut.flatten(of_shut.dim() - dims).sum(-1) if dims else of_shut
        total: Tensor = self.log_prob_open(value) + of_shut
        return total


def _triangular(matrix: Tensor, right: Tensor, upper: bool) -> Tensor:
    solution: Tensor = torch.linalg.solve_triangular(matrix, right, upper=upper)
    return solution


@dataclass(frozen=True)
class _DenseBlock:
    """C with rows of the identity where weights are shut, by its Cholesky factor."""

    root: Tensor
    further_noise: int = 0

    @classmethod
    def of(cls, factor: Tensor, diagonal: Tensor, is_open: Tensor) -> _DenseBlock:
        full = factor @ factor.mT + torch.diag_embed(diagonal)
        block = full * is_open[..., :, None] * is_open[..., None, :] + torch.diag_embed(1.0 - is_open)
        # Not cholesky(), whose check would branch on values; a failure shows as NaN.
        return cls(torch.linalg.cholesky_ex(block).L)

    def detach(self) -> _DenseBlock:
        return _DenseBlock(self.root.detach())

    def draw(self, noise: Tensor) -> Tensor:
        return _triangular(self.root.mT, noise[..., None], upper=True)[..., 0]

    def solve(self, right: Tensor) -> Tensor:
        half = _triangular(self.root, right[..., None], upper=False)
        return _triangular(self.root.mT, half, upper=True)[..., 0]

    def log_det(self) -> Tensor:
        return 2.0 * self.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def inverse_diagonal(self) -> Tensor:
        identity = torch.eye(self.root.shape[-1], dtype=self.root.dtype, device=self.root.device)
        inverse = _triangular(self.root, identity.expand_as(self.root), upper=False)
        return inverse.square().sum(-2)


@dataclass(frozen=True)
class _LowRankBlock:
    r"""The same by :math:`D + F F'` and :math:`K = I + F' D^{-1} F`, with 1 in D and 0 in F where shut."""

    diagonal: Tensor
    factor: Tensor
    root: Tensor

    @classmethod
    def of(cls, factor: Tensor, diagonal: Tensor, is_open: Tensor) -> _LowRankBlock:
        diagonal = torch.where(is_open > 0, diagonal, 1.0)
        factor = factor * is_open[..., None]
        small = factor.mT @ (factor / diagonal[..., None])
        identity = torch.eye(small.shape[-1], dtype=small.dtype, device=small.device)
        return cls(diagonal, factor, torch.linalg.cholesky_ex(small + identity).L)

    @property
    def further_noise(self) -> int:
        return self.factor.shape[-1]

    def detach(self) -> _LowRankBlock:
        return _LowRankBlock(self.diagonal.detach(), self.factor.detach(), self.root.detach())

    def draw(self, noise: Tensor) -> Tensor:
        first, second = noise.split([self.diagonal.shape[-1], self.factor.shape[-1]], -1)
        # A draw with covariance C, taken through the inverse of C.
        along = (self.factor @ second[..., None])[..., 0]
        return self.solve(self.diagonal.sqrt() * first + along)

    def solve(self, right: Tensor) -> Tensor:
        right = right / self.diagonal
        small = self.factor.mT @ right[..., None]
        half = _triangular(self.root, small, upper=False)
        small = _triangular(self.root.mT, half, upper=True)
        return right - (self.factor @ small)[..., 0] / self.diagonal

    def log_det(self) -> Tensor:
        return self.diagonal.log().sum(-1) + 2.0 * self.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def inverse_diagonal(self) -> Tensor:
        scaled = (self.factor / self.diagonal[..., None]).mT
        half = _triangular(self.root, scaled, upper=False)
        return 1.0 / self.diagonal - half.square().sum(-2)


_Block = _DenseBlock | _LowRankBlock


@register_kl(ConditionalSlab, Distribution)
def _kl_conditional_slab(q: ConditionalSlab, p: Distribution) -> Tensor:
    """The KL given the gates, batch shape; see :class:`ConditionalSlab`.

    Raises:
        NotImplementedError: If p is not elementwise, or has no KL from the Normal.
    """
    while isinstance(p, Independent):
        p = p.base_dist
    if p.event_shape:
        raise NotImplementedError(
            f"no KL from ConditionalSlab to {type(p).__name__}, whose weights are not independent"
        )
    is_open = q._is_open
    of_each = kl_divergence(Normal(q.mean, q.variance.sqrt(), validate_args=False), p)
    of_each = of_each.reshape(*of_each.shape[: of_each.dim() - len(q.event_shape)], -1)
    inverse = torch.where(is_open > 0, q._block.inverse_diagonal(), 1.0)
    correlation: Tensor = 0.5 * (inverse.log().sum(-1) + q._block.log_det())
    return (of_each * is_open).sum(-1) + correlation
