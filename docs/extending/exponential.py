r"""Survival times with a constant hazard: :math:`y \sim \mathrm{Exponential}` of mean :math:`e^\eta`."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.likelihoods import Likelihood, PredictorPrecision, Words, register


@register
class Exponential(Likelihood):
    r"""Times, with :math:`\log E[y] = \eta`.

    .. math:: \log p(y \mid \eta) = -\eta - y e^{-\eta}
    """

    name = "exponential"
    words = Words(
        kind="a regression of survival times with a constant hazard",
        formula="y<sub>i</sub> ~ Exponential with mean exp(η<sub>i</sub>)",
        effects="the log mean time",
        summary="survival times by the logarithm of their mean",
    )
    laws = (dist.Exponential,)  # in a Pyro model, this law is read as this likelihood
    accepts = "times, positive"

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        return dist.Exponential(torch.exp(-predictor))

    def violations(self, y: Tensor) -> list[tuple[str, Tensor]]:
        return [("be positive", ~(y > 0)), ("be finite", torch.isinf(y))]

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        scaled = y * torch.exp(-eta)  # its derivatives are itself, with signs in turn
        signs = (-1.0, 1.0, -1.0, 1.0, -1.0)
        values = [sign * scaled for sign in signs[: order + 1]]
        values[0] = values[0] - eta
        if order >= 1:
            values[1] = values[1] - 1.0
        return tuple(values)

    def starting_predictor(self, y: Tensor) -> Tensor:
        return torch.log(y)

    def link(self, mean: Tensor) -> Tensor:
        return torch.log(mean)

    def inverse_link(self, eta: Tensor) -> Tensor:
        return torch.exp(eta)

    def variance(self, eta: Tensor) -> Tensor:
        return torch.exp(2.0 * eta)

    @classmethod
    def predictor_of(cls, law: Any) -> Tensor:
        return -torch.log(law.rate)

    @classmethod
    def precision_of(cls, law: Any) -> PredictorPrecision:
        return PredictorPrecision.of_rates(law.rate.dtype)
