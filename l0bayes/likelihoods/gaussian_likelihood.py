"""The Normal likelihood."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.likelihoods.likelihood_words import Words
from l0bayes.likelihoods.location_scale import LocationScale

__all__ = ["Gaussian"]


class Gaussian(LocationScale):
    r""":math:`y \sim N(\eta, \sigma^2/w)`, with σ given or :math:`\sigma^2 \sim \mathrm{InverseGamma}(a, b)`.

    Sites: ``noise_variance``, where σ is not given. The options are those of
    :class:`~l0bayes.likelihoods.location_scale.LocationScale`.
    """

    name = "gaussian"
    words = Words(
        kind="a linear regression with Normal noise",
        formula="y<sub>i</sub> ~ N(η<sub>i</sub>, σ²)",
        effects="the mean of the response",
        summary="numbers with Normal noise",
    )
    laws = (dist.Normal,)
    conjugate = True

    def supports_selection(self) -> str | None:
        return None

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        return dist.Normal(predictor, self.scale_of_rows(latents, weights))

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        if self.noise_scale is None:
            return super().derivatives(y, eta, order)
        precision = self.noise_scale**-2
        residual = y - eta
        constant = math.log(self.noise_scale) + 0.5 * math.log(2.0 * math.pi)
        zero = torch.zeros_like(residual)
        value = -0.5 * precision * residual.square() - constant
        return (value, precision * residual, zero - precision, zero, zero)[: order + 1]

    def variance(self, eta: Tensor) -> Tensor:
        if self.noise_scale is None:
            return super().variance(eta)
        return torch.full_like(eta, self.noise_scale**2)
