"""The Poisson likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.likelihoods.count_support import count_violations
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_words import Words
from l0bayes.likelihoods.offset_limits import refuse_far_offsets
from l0bayes.likelihoods.predictor_precision import PredictorPrecision

__all__ = ["Poisson", "PoissonOfLogRate"]

# Beside a mean of e^40 a double has no digit left for a mean of one.
_FARTHEST_OFFSET = 40.0


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


class Poisson(Likelihood):
    r"""Counts, with :math:`\log E[y] = \eta`.

    .. math:: \log p(y \mid \eta) = y\eta - e^\eta - \log\Gamma(y + 1)

    Args:
        whole: Whether responses must be whole; otherwise other numbers are taken too, by the same formula.
    """

    name = "poisson"
    words = Words(
        kind="a Poisson regression with the logarithm as link",
        formula="y<sub>i</sub> ~ Poisson(exp(η<sub>i</sub>))",
        effects="the log rate",
        summary="counts by their log rate",
    )
    laws = (dist.Poisson,)
    takes_exposure = True

    def __init__(self, whole: bool = True) -> None:
        self.whole = whole

    def fractional(self) -> Self:
        return self.changed(whole=False)

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        return PoissonOfLogRate(predictor, validate_args=None if self.whole else False)

    @property
    def accepts(self) -> str:
        return "counts, whole and not negative" if self.whole else "counts, not negative"

    def violations(self, y: Tensor) -> Sequence[tuple[str, Tensor]]:
        return count_violations(y, self.whole)

    def check_offset(self, offset: Tensor) -> None:
        why = "the median of all rows: a mean e^40 times that of the other rows leaves these no digit"
        refuse_far_offsets(offset, offset.median(), _FARTHEST_OFFSET, why)

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        mean = torch.exp(eta)
        values = [y * eta - mean - torch.lgamma(y + 1)]
        if order >= 1:
            values.append(y - mean)
        return (*values, *([-mean] * (order - 1)))

    def starting_predictor(self, y: Tensor) -> Tensor:
        return torch.log(y + 0.5)

    def link(self, mean: Tensor) -> Tensor:
        return torch.log(mean)

    def inverse_link(self, eta: Tensor) -> Tensor:
        return torch.exp(eta)

    def wider(self, y: Tensor, mean: Tensor) -> str:
        r"""The negative binomial likelihood, with its dispersion by moments,
        :math:`\hat\phi = \sum_i ((y_i - \mu_i)^2 - \mu_i) / \sum_i \mu_i^2`.

        Args:
            y: Counts.
            mean: Their means μ.
        """
        dispersion = float(((y - mean).square() - mean).sum() / mean.square().sum())
        if not dispersion > 0.0:
            return ""
        return (
            f"the negative_binomial likelihood with a dispersion near {dispersion:.2g}, which "
            "SpikeSlabCountRegressor('negative_binomial') (l0bayes select: --likelihood negative_binomial) "
            f"learns (dispersion={dispersion:.2g} holds it there)"
        )

    def variance(self, eta: Tensor) -> Tensor:
        return torch.exp(eta)

    @classmethod
    def predictor_of(cls, law: Any) -> Tensor:
        value: Tensor = law.log_rate if isinstance(law, PoissonOfLogRate) else law.rate.log()
        return value

    @classmethod
    def precision_of(cls, law: Any) -> PredictorPrecision:
        if isinstance(law, PoissonOfLogRate):
            return PredictorPrecision.direct(law.log_rate.dtype)
        return PredictorPrecision.of_rates(law.rate.dtype)

    @classmethod
    def of_law(cls, law: Any, rows: Callable[[Tensor], Tensor]) -> Self:
        return cls()
