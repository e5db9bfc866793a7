r"""Spike-and-slab linear regression as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.selection.problem.gram import Gram, second_moments
from l0bayes.selection.problem.noise_prior import InverseGamma
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["GaussianProblem"]

# A residual sum of squares below this share of the response's is rounding.
_ROUNDING = 1e-11


@dataclass(frozen=True, eq=False)
class GaussianProblem(SelectionProblem):
    r"""A :class:`~l0bayes.selection.problem.selection_problem.SelectionProblem` with a Normal response.

    .. math::
        y_i \sim N(\eta_i, \sigma^2/w_i), \qquad \theta_j \sim N(0, s_j^2)\;\;[\text{times } \sigma^2]

    Args:
        x, y, prior, slab_scale, groups: As there.
        unpenalised, unpenalised_scale, offset, weights: As there.
        noise: σ, a positive number, or the prior of σ²; by keyword. Jeffreys' prior needs responses that
            no model of these columns fits without a residual: elsewhere its marginal likelihood is infinite.
        slab_scaled_by_noise: Whether the slab's variance is in units of σ².
        weights_are_counts: Whether a row of weight w stands for w rows like it, so that its likelihood is
            taken to the power of w; otherwise w multiplies the precision of its one response.

    Raises:
        ValueError: If shapes do not fit, a number is out of range or not finite, or if under Jeffreys' prior
            of the noise a model fits without a residual.
    """

    is_gaussian: ClassVar[bool] = True

    noise: float | InverseGamma = field(kw_only=True)
    slab_scaled_by_noise: bool = field(default=False, kw_only=True)
    weights_are_counts: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.noise, InverseGamma):
            validate.positive(noise=self.noise)
        elif not self.noise.is_proper:
            self._refuse_perfect_fits()

    def _refuse_perfect_fits(self) -> None:
        r"""Where a model leaves no residual, its density of y under Jeffreys' prior has no bound as σ² falls.

        Slabs that shrink with the noise fit nothing without a residual; then only columns without a gate do.
        """
        shrinking = self.slab_scaled_by_noise
        columns = self.unpenalised if shrinking else self.columns
        root = self.weights.sqrt()[:, None]
        response = (self.y - self.offset)[:, None] * root
        fitted = torch.linalg.lstsq(columns * root, response, driver="gelsd").solution
        left = (response - columns * root @ fitted).square().sum()
        if float(left) > _ROUNDING * float(response.square().sum()):
            return
        if not shrinking and columns.shape[1] >= self.num_rows:
            why = f"{self.num_rows} rows are fitted by {columns.shape[1]} columns without a residual"
        else:
            why = "the response is fitted without a residual" if columns.shape[1] else "the response is 0"
        raise ValueError(
            f"noise_prior 'jeffreys' needs data that no model fits perfectly, and here {why}: the marginal "
            "likelihood would be infinite. Take noise_prior='weak', or a pair (shape, rate)"
        )

    @property
    def gram(self) -> Gram:
        """Second moments of the data, computed once and kept."""
        return self.kept(second_moments, of_data=True)

    @property
    def num_observations(self) -> float:
        """Number of responses: n, or the sum of weights that are counts."""
        return float(self.weights.sum()) if self.weights_are_counts else float(self.num_rows)

    # ---- the noise -------------------------------------------------------------------------------

    @property
    def noise_prior(self) -> InverseGamma | None:
        """Prior of σ²; ``None`` where the noise is known."""
        return self.noise if isinstance(self.noise, InverseGamma) else None

    @property
    def noise_variance(self) -> float:
        return math.nan if isinstance(self.noise, InverseGamma) else float(self.noise) ** 2

    @property
    def conjugate_noise(self) -> InverseGamma | None:
        """Prior of σ² where the noise can be integrated out in closed form, ``None`` elsewhere.

        It can where every prior variance is in units of σ²: slabs are scaled by the noise, and columns
        without a gate, if any, have a flat prior.
        """
        if not self.slab_scaled_by_noise or not bool(torch.isinf(self.unpenalised_scale).all()):
            return None
        return self.noise_prior

    @property
    def conjugate_shape(self) -> float:
        r""":math:`a + (n - k)/2`, the shape of the noise's posterior where ``conjugate_noise`` is given."""
        noise = self.conjugate_noise
        assert noise is not None
        return noise.shape + 0.5 * (self.num_observations - self.num_unpenalised)

    # ---- densities -------------------------------------------------------------------------------

    def precision(self, variance: Tensor) -> Tensor:
        """Prior precision of all coefficients, shape ``(..., k + p)``.

        Args:
            variance: Noise variance σ², any shape.
        """
        unpenalised = self.unpenalised_scale.square().reciprocal()
        slab = self.slab_scale.square().reciprocal()
        shape = (*variance.shape, -1)
        slab = (slab / variance[..., None]) if self.slab_scaled_by_noise else slab.expand(shape)
        return torch.cat([unpenalised.expand(*variance.shape, unpenalised.shape[0]), slab], -1)

    def slab_variance(self, variance: Tensor) -> Tensor:
        slab = super().slab_variance(variance)
        return slab * variance[..., None] if self.slab_scaled_by_noise else slab

    def log_density_at_zero(self, variance: Tensor) -> Tensor:
        """Log density of the response where all coefficients are zero.

        Args:
            variance: Noise variance σ², any shape.
        """
        return self.log_constant(variance) - 0.5 * self.gram.square / variance

    def log_constant(self, variance: Tensor) -> Tensor:
        """Log density of the response where its predictor is what it is.

        Args:
            variance: Noise variance σ², any shape.
        """
        weights = 0.0 if self.weights_are_counts else 0.5 * torch.log(self.weights).sum()
        return weights - 0.5 * self.num_observations * torch.log(2.0 * math.pi * variance)
