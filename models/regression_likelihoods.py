r"""What a regression observes, given its linear predictor."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Literal

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.models.survival import CoxPartialLikelihood, Ties

__all__ = [
    "Binomial",
    "Cox",
    "Gaussian",
    "NegativeBinomial",
    "Poisson",
    "PoissonOfLogRate",
    "RegressionLikelihood",
    "StudentT",
]


class RegressionLikelihood(ABC):
    """The law of the response.

    Attributes:
        columns: Shape of one row's response.
        has_noise: Whether it has a noise variance.
        weights_scale: Whether case weights multiply the log likelihood; otherwise the law has them in
            itself.
    """

    columns: tuple[int, ...] = ()
    has_noise = False
    weights_scale = True

    def latents(self, one: Tensor) -> dict[str, Tensor]:
        """Sample the latents that it has, and return the values that :meth:`law` needs.

        Args:
            one: A one, of the precision and on the device of the columns.
        """
        return {}

    @abstractmethod
    def law(
        self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None, trials: Tensor | None
    ) -> Any:
        """The distribution of the responses.

        Args:
            predictor: η, shape ``(n,)``.
            latents: What :meth:`latents` gave.
            weights: Case weights, shape ``(n,)``.
            trials: Numbers of trials, shape ``(n,)``.
        """

    @abstractmethod
    def check(self, y: Tensor, trials: Tensor | None) -> None:
        """Refuse responses that cannot be observed.

        Args:
            y: Responses.
            trials: Numbers of trials.

        Raises:
            ValueError: If a value is out of range, by its first row.
        """


class Gaussian(RegressionLikelihood):
    r""":math:`y \sim N(\eta, \sigma^2/w)`, with σ given or :math:`\sigma^2 \sim \mathrm{InverseGamma}(a, b)`.

    Args:
        noise_scale: σ; ``None`` for the prior.
        noise_prior: a and b.
    """

    has_noise = True
    weights_scale = False

    def __init__(self, noise_scale: float | None, noise_prior: tuple[float, float]) -> None:
        self.noise_scale = noise_scale
        self.noise_prior = noise_prior

    def latents(self, one: Tensor) -> dict[str, Tensor]:
        if self.noise_scale is not None:
            return {"noise": self.noise_scale * one}
        shape, rate = self.noise_prior
        return {"noise": pyro.sample("noise_variance", dist.InverseGamma(shape * one, rate * one)).sqrt()}

    def law(
        self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None, trials: Tensor | None
    ) -> Any:
        return dist.Normal(predictor, self._scale(latents, weights))

    def _scale(self, latents: dict[str, Tensor], weights: Tensor | None) -> Tensor:
        return latents["noise"] if weights is None else latents["noise"] * weights.rsqrt()

    def check(self, y: Tensor, trials: Tensor | None) -> None:
        return


class StudentT(Gaussian):
    r""":math:`(y - \eta)\sqrt{w}/\sigma \sim t_\nu`, σ as in :class:`Gaussian`.

    Args:
        noise_scale: σ; ``None`` for the prior.
        noise_prior: a and b.
        df: ν, or ``"learned"`` for :math:`\nu \sim \mathrm{Gamma}(2, 0.1)` (Juárez and Steel 2010), site
            ``df``.
    """

    def __init__(
        self, noise_scale: float | None, noise_prior: tuple[float, float], df: float | Literal["learned"]
    ) -> None:
        super().__init__(noise_scale, noise_prior)
        self.df = df

    def latents(self, one: Tensor) -> dict[str, Tensor]:
        df = (
            self.df * one
            if not isinstance(self.df, str)
            else pyro.sample("df", dist.Gamma(2 * one, 0.1 * one))
        )
        return {**super().latents(one), "df": df}

    def law(
        self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None, trials: Tensor | None
    ) -> Any:
        return dist.StudentT(latents["df"], predictor, self._scale(latents, weights))


class Binomial(RegressionLikelihood):
    r""":math:`y \sim \mathrm{Binomial}(m, \sigma(\eta))` with m trials, which are 1 for labels.

    Args:
        labels: Whether there is one trial a row.
    """

    def __init__(self, labels: bool) -> None:
        self.labels = labels

    def law(
        self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None, trials: Tensor | None
    ) -> Any:
        if self.labels:
            return dist.Bernoulli(logits=predictor)
        if trials is None:
            raise ValueError("trials must be given for the binomial family, shape (n,); got None")
        # Of the predictor's batch too, without which torch's draws warn under vmap.
        trials = trials.to(predictor) + torch.zeros_like(predictor)
        return dist.Binomial(total_count=trials, logits=predictor)

    def check(self, y: Tensor, trials: Tensor | None) -> None:
        if self.labels:
            _refuse(y, (y != 0) & (y != 1), "y", "zeros and ones for the bernoulli family")
            return
        if trials is None:
            raise ValueError("trials must be given for the binomial family, shape (n,); got None")
        wrong = ~(trials >= 0) | (trials != trials.round()) | (trials == math.inf)
        _refuse(trials, wrong, "trials", "whole numbers, not negative")
        if not bool((trials > 0).any()):
            raise ValueError("trials must be at least 1 in a row: without any nothing can be learned")
        _refuse(
            y, (y < 0) | (y > trials) | (y != y.round()), "y", "counts between 0 and the number of trials"
        )


class PoissonOfLogRate(dist.Poisson):
    r"""A Poisson law by the logarithm of its rate, whose density and gradient have no 0/0 at small rates.

    Args:
        log_rate: η, any shape.
    """

    def __init__(self, log_rate: Tensor, validate_args: bool | None = None) -> None:
        self.log_rate = log_rate
        # A rate that is 0 in this precision is no parameter of the base's.
        tiny = torch.finfo(log_rate.dtype).tiny
        super().__init__(log_rate.exp().clamp(min=tiny), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> PoissonOfLogRate:
        """The same law with a larger batch shape, of its own type."""
        new: PoissonOfLogRate = self._get_checked_instance(PoissonOfLogRate, _instance)
        new.log_rate = self.log_rate.expand(batch_shape)
        return super().expand(batch_shape, new)  # type: ignore[no-any-return]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability in nats."""
        if self._validate_args:
            self._validate_sample(value)
        return value * self.log_rate - self.log_rate.exp() - torch.lgamma(value + 1.0)


class Poisson(RegressionLikelihood):
    r""":math:`y \sim \mathrm{Poisson}(e^\eta)`."""

    def law(
        self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None, trials: Tensor | None
    ) -> Any:
        return PoissonOfLogRate(predictor)

    def check(self, y: Tensor, trials: Tensor | None) -> None:
        _refuse(y, (y < 0) | (y != y.round()), "y", "counts, whole and not negative")


class NegativeBinomial(Poisson):
    r"""Counts of mean :math:`\mu = e^\eta` and variance :math:`\mu + \phi\mu^2`.

    Args:
        dispersion: φ, or ``"learned"`` for :math:`\phi \sim \mathrm{Exponential}(1)`, site ``dispersion``.
    """

    def __init__(self, dispersion: float | Literal["learned"]) -> None:
        self.dispersion = dispersion

    def latents(self, one: Tensor) -> dict[str, Tensor]:
        if isinstance(self.dispersion, str):
            return {"dispersion": pyro.sample("dispersion", dist.Exponential(one))}
        return {"dispersion": self.dispersion * one}

    def law(
        self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None, trials: Tensor | None
    ) -> Any:
        # mean = total_count * exp(logits)
        dispersion = latents["dispersion"]
        return dist.NegativeBinomial(dispersion.reciprocal(), logits=predictor + torch.log(dispersion))


class Cox(RegressionLikelihood):
    """Times and events; see :class:`~l0bayes.models.survival.CoxPartialLikelihood`.

    Args:
        ties: Form of the likelihood where events share a time.
    """

    columns = (2,)
    weights_scale = False

    def __init__(self, ties: Ties) -> None:
        self.ties = ties

    def law(
        self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None, trials: Tensor | None
    ) -> Any:
        return CoxPartialLikelihood(predictor, weights, self.ties)

    def check(self, y: Tensor, trials: Tensor | None) -> None:
        time, event = y.unbind(-1)
        _refuse(time, ~(time >= 0) | (time == math.inf), "time", "times, not negative")
        _refuse(event, (event != 0) & (event != 1), "event", "1 where the event was seen and 0 where not")
        if not bool((event == 1).any()):
            raise ValueError("event must be 1 in at least one row: without an event nothing can be learned")


def _refuse(values: Tensor, bad: Tensor, name: str, wanted: str) -> None:
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        raise ValueError(
            f"{name} must hold {wanted}; got {values[row].item()!r} in row {row} "
            f"({int(bad.sum())} rows out of range)"
        )
