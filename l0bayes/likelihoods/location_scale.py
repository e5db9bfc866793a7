"""Likelihoods of a location and a noise scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["LocationScale"]


class LocationScale(Likelihood):
    r"""Base of laws of :math:`(y - \eta)\sqrt{w}/\sigma`, σ given or
    :math:`\sigma^2 \sim \mathrm{InverseGamma}(a, b)`.

    Sites: ``noise_variance``, where σ is not given.

    Args:
        noise_scale: σ; ``None`` for the prior.
        noise_prior: a and b.

    Raises:
        ValueError: If a number is not positive or not finite.
    """

    has_noise = True
    weights_multiply = False

    def __init__(
        self, noise_scale: float | None = None, noise_prior: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        validate.positive(**validate.given(noise_scale=noise_scale))
        validate.positive_pair(noise_prior=noise_prior)
        self.noise_scale = noise_scale
        self.noise_prior = noise_prior

    @property
    def unknowns(self) -> tuple[str, ...]:
        return ("noise_variance",) if self.noise_scale is None else ()

    def supports_network(self) -> str | None:
        # A network has a noise scale of its own.
        return super(LocationScale, self.changed(noise_scale=1.0)).supports_network()

    def latents(self, one: Tensor) -> dict[str, Tensor]:
        if self.noise_scale is not None:
            return {"noise": self.noise_scale * one}
        shape, rate = self.noise_prior
        return {"noise": pyro.sample("noise_variance", dist.InverseGamma(shape * one, rate * one)).sqrt()}

    @staticmethod
    def scale_of_rows(latents: dict[str, Tensor], weights: Tensor | None) -> Tensor:
        r""":math:`\sigma/\sqrt{w}`.

        Args:
            latents: What :meth:`latents` gave.
            weights: w; ``None`` for 1.
        """
        return latents["noise"] if weights is None else latents["noise"] * weights.rsqrt()

    @property
    def accepts(self) -> str:
        return "finite numbers"

    def violations(self, y: Tensor) -> Sequence[tuple[str, Tensor]]:
        return [("be finite", ~torch.isfinite(y))]

    def starting_predictor(self, y: Tensor) -> Tensor:
        return y

    def link(self, mean: Tensor) -> Tensor:
        return mean

    def inverse_link(self, eta: Tensor) -> Tensor:
        return eta

    @classmethod
    def predictor_of(cls, law: Any) -> Tensor:
        value: Tensor = law.loc
        return value

    @classmethod
    def noise_of(cls, law: Any) -> Tensor:
        value: Tensor = law.scale
        return value

    @classmethod
    def of_law(cls, law: Any, rows: Callable[[Tensor], Tensor]) -> Self:
        """The likelihood with the parameters of a law; σ is not given where rows differ in it.

        Args:
            law: The law.
            rows: From a parameter of the law to its entry for every observed row, shape ``(n,)``.
        """
        scale = rows(law.scale)
        same = bool(torch.allclose(scale, scale[0], atol=0.0))
        return cls(noise_scale=float(scale[0]) if same else None)
