"""A likelihood of a user: positive times with an exponential law, by the logarithm of their mean.

This file knows the public names only, and is loaded as a user's file would be.
"""

import pyro.distributions as dist
import torch

from l0bayes.likelihoods import Likelihood, PredictorPrecision, Words, register

__all__ = ["Exponential"]


@register
class Exponential(Likelihood):
    r"""Positive numbers, with :math:`\log E[y] = \eta`.

    .. math:: \log p(y \mid \eta) = -\eta - y e^{-\eta}
    """

    name = "exponential"
    words = Words(
        kind="an exponential regression with the logarithm as link",
        formula="y<sub>i</sub> ~ Exponential with mean exp(η<sub>i</sub>)",
        effects="the log mean",
        summary="positive numbers by their log mean",
    )
    laws = (dist.Exponential,)
    accepts = "positive numbers"

    def law(self, predictor, latents, weights=None):
        return dist.Exponential(torch.exp(-predictor))

    def violations(self, y):
        return [("be positive", ~(y > 0)), ("be finite", torch.isinf(y))]

    def derivatives(self, y, eta, order):
        ratio = y * torch.exp(-eta)
        return (-eta - ratio, ratio - 1.0, -ratio, ratio, -ratio)[: order + 1]

    def starting_predictor(self, y):
        return torch.log(y)

    def link(self, mean):
        return torch.log(mean)

    def inverse_link(self, eta):
        return torch.exp(eta)

    def variance(self, eta):
        return torch.exp(2.0 * eta)

    @classmethod
    def predictor_of(cls, law):
        return -torch.log(law.rate)

    @classmethod
    def precision_of(cls, law):
        return PredictorPrecision.of_rates(law.rate.dtype)
