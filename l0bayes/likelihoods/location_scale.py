"""Likelihoods of a location and a noise scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.noise_priors import weak_noise_prior

__all__ = ["LocationScale"]


class LocationScale(Likelihood):
    r"""Base of laws of :math:`(y - \eta)\sqrt{w}/\sigma`, σ given or
    :math:`\sigma^2 \sim \mathrm{InverseGamma}(a, b)`.

    Sites: ``noise_variance``, where σ is not given.

    Args:
        noise_scale: σ; ``None`` for the prior.
        noise_prior: a and b; ``"weak"`` for (0.005, 0.0025), which counts as a hundredth of an observation of
            a response of variance 1. For another variance, give
            :func:`~l0bayes.likelihoods.noise_priors.weak_noise_prior` of it.

    Raises:
        ValueError: If a number is not positive or not finite, or the word is another.
    """

    has_noise = True
    weights_multiply = False

    def __init__(
        self, noise_scale: float | None = None, noise_prior: Literal["weak"] | tuple[float, float] = "weak"
    ) -> None:
        validate.positive(**validate.given(noise_scale=noise_scale))
        if isinstance(noise_prior, str):
            if str(noise_prior) == "jeffreys":
                raise ValueError(
                    "noise_prior 'jeffreys' has no law that a Pyro program could draw from; take 'weak' or a "
                    "pair (a, b) of an inverse gamma law, or an estimator, which integrates over it"
                )
            validate.one_of(("weak",), " or a pair (a, b)", noise_prior=noise_prior)
        else:
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
        shape, rate = weak_noise_prior() if isinstance(self.noise_prior, str) else self.noise_prior
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
