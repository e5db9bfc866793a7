"""The Bernoulli likelihood of two classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_words import Words
from l0bayes.likelihoods.logistic_terms import logistic_derivatives
from l0bayes.likelihoods.predictor_precision import PredictorPrecision

__all__ = ["Bernoulli"]


class Bernoulli(Likelihood):
    r"""Zeros and ones, with :math:`P(y = 1) = \sigma(\eta)`.

    .. math:: \log p(y \mid \eta) = y \log\sigma(\eta) + (1 - y) \log\sigma(-\eta)

    Args:
        whole: Whether responses must be zeros and ones; otherwise shares between 0 and 1 are taken too, by
            the same formula.
    """

    name = "bernoulli"
    words = Words(
        kind="a logistic regression",
        formula="P(y<sub>i</sub> = {event}) = 1 / (1 + exp(−η<sub>i</sub>))",
        effects="the log odds",
        summary="two classes by their log odds",
    )
    laws = (dist.Bernoulli,)
    has_classes = True

    def __init__(self, whole: bool = True) -> None:
        self.whole = whole

    def fractional(self) -> Self:
        return self.changed(whole=False)

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        return dist.Bernoulli(logits=predictor, validate_args=None if self.whole else False)

    def as_response(self, y: Any) -> Tensor:
        whole = isinstance(y, Tensor) and not y.is_floating_point() and not y.is_complex()
        return y.to(torch.get_default_dtype()) if whole else super().as_response(y)

    @property
    def accepts(self) -> str:
        return "zeros and ones" if self.whole else "values between 0 and 1"

    def violations(self, y: Tensor) -> Sequence[tuple[str, Tensor]]:
        if self.whole:
            return [("be 0 or 1", (y != 0) & (y != 1))]
        return [("lie between 0 and 1", ~((y >= 0) & (y <= 1)))]

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        return logistic_derivatives(y, 1.0 - y, eta, None, order)

    def starting_predictor(self, y: Tensor) -> Tensor:
        return torch.log((y + 0.5) / (1.5 - y))

    def link(self, mean: Tensor) -> Tensor:
        return torch.logit(mean)

    def inverse_link(self, eta: Tensor) -> Tensor:
        return torch.sigmoid(eta)

    def variance(self, eta: Tensor) -> Tensor:
        return torch.sigmoid(eta) * torch.sigmoid(-eta)

    @classmethod
    def predictor_of(cls, law: Any) -> Tensor:
        value: Tensor = law.logits
        return value

    @classmethod
    def precision_of(cls, law: Any) -> PredictorPrecision:
        return PredictorPrecision.of_logistic(law)

    @classmethod
    def of_law(cls, law: Any, rows: Callable[[Tensor], Tensor]) -> Self:
        return cls()
