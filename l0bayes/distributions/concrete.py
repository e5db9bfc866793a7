r"""The binary concrete law, without stretch or atoms."""

from __future__ import annotations

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from l0bayes.distributions.constraints import finite
from l0bayes.distributions.gate_law import GateLaw
from l0bayes.distributions.numerics import logistic_rule, logit, panelled_gauss_legendre, softplus

__all__ = ["BinaryConcrete"]

_HALF_LINE = (*(2.0 * panel for panel in range(9)), 24.0, 40.0)


class BinaryConcrete(GateLaw):
    r"""Binary concrete gate (Maddison et al. 2017; Jang et al. 2017).

    .. math::
        z = \sigma\bigl((\operatorname{logit} u + \log\alpha)/\beta\bigr), \qquad u \sim U(0,1),
        \qquad P(z > \tfrac12) = \sigma(\log\alpha)

    It has no atoms: no draw and no quantile is exactly 0 or 1, not even by rounding. Its activity is
    :math:`P(z > \tfrac12) = \sigma(\log\alpha)`, the probability of its zero-temperature limit, and
    deployment needs that threshold (``activity_threshold = 0.5``). With one tied ``log_alpha`` a
    layer, :math:`\pi = \tfrac12` and temperature 0.1 it is the gate of Concrete Dropout
    (arXiv 1705.07832).

    Mean, variance, entropy and KL are expectations over a second logistic variable T that is
    independent of the law's own L: since :math:`\sigma(y) = P(T > -y)`,

    .. math::
        E[z] = P(\log\alpha + L + \beta T > 0), \qquad
        E[\operatorname{softplus}(\operatorname{logit} z)] = E[(\log\alpha + L + \beta T)_+]/\beta.

    Which of L and T is integrated in closed form is free, so the singularities of the other's
    integrand can be kept π away from the real line at every temperature.

    Args:
        log_alpha: Location, any shape.
        temperature: Positive; float or tensor broadcastable to ``log_alpha``.

    Raises:
        ValueError: With validation on, if the temperature is not positive or ``log_alpha`` not finite.
    """

    arg_constraints = {"log_alpha": finite, "temperature": constraints.positive}
    parameter_names = ("log_alpha", "temperature")
    activity_threshold = 0.5

    def __init__(
        self,
        log_alpha: Tensor | float,
        temperature: Tensor | float = 2.0 / 3.0,
        validate_args: bool | None = None,
    ) -> None:
        self.log_alpha, self.temperature = broadcast_all(log_alpha, temperature)
        TorchDistribution.__init__(self, self.log_alpha.shape, validate_args=validate_args)

    @property
    def activity_logits(self) -> Tensor:
        return self.log_alpha

    @property
    def saturation_logits(self) -> Tensor:
        return torch.full_like(self.log_alpha, -torch.inf)

    def unclipped_icdf(self, u: Tensor) -> Tensor:
        z = torch.sigmoid((logit(u) + self.log_alpha) / self.temperature)
        return _inside(z)  # where the sigmoid is rounded to 0 or 1, which are no values of this gate

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density. A rounded 0 or 1 is read as the nearest number inside, for there is no atom."""
        if self._validate_args:
            self._validate_sample(value)
        return self.log_density(value)

    def survival_logits(self, x: Tensor) -> Tensor:
        inside = torch.where(x > 0, x, 0.5)  # keeps gradients finite at 0
        return torch.where(x > 0, self.log_alpha - self.temperature * logit(inside), torch.inf)

    def log_density(self, z: Tensor) -> Tensor:
        z = _inside(z)
        centred = self.temperature * logit(z) - self.log_alpha
        log_jacobian = -torch.log(z) - torch.log1p(-z)
        return torch.log(self.temperature) + logsigmoid(centred) + logsigmoid(-centred) + log_jacobian

    @property
    def noise_free(self) -> Tensor:
        r""":math:`\sigma(\log\alpha)`, as in Eq. 13 of the paper without the stretch."""
        return torch.sigmoid(self.log_alpha)

    @property
    def mean(self) -> Tensor:
        r""":math:`E[z] = P(\log\alpha + L + \beta T > 0)`; batch shape."""
        at, _, weights = _other_logistic(self.log_alpha, self.temperature)
        return (weights * torch.sigmoid(at)).sum(0).clamp(max=1.0)

    @property
    def mean_given_active(self) -> Tensor:
        r""":math:`E[z \mid z > \tfrac12] = \tfrac12 + \int_{1/2}^1 P(z > x)\,dx \,/\, P(z > \tfrac12)`."""
        y, weights = panelled_gauss_legendre(self.log_alpha, _HALF_LINE, 24)
        shape = (-1, *(1 for _ in self.batch_shape))
        weights = (weights * torch.sigmoid(y) * torch.sigmoid(-y)).reshape(shape)
        log_survival = logsigmoid(self.log_alpha - self.temperature * y.reshape(shape))
        return 0.5 + (weights * (log_survival - logsigmoid(self.log_alpha)).exp()).sum(0)

    @property
    def variance(self) -> Tensor:
        r""":math:`m(1 - m) - \beta\,\partial m / \partial\log\alpha` with m the mean, for
        :math:`\sigma^2 = \sigma - \sigma'`; taken at :math:`-|\log\alpha|`, for it is even."""
        tail = torch.where(self.log_alpha > 0, -self.log_alpha, self.log_alpha)
        at, scale, weights = _other_logistic(tail, self.temperature)
        mean = (weights * torch.sigmoid(at)).sum(0)
        slope = (weights * torch.sigmoid(at) * torch.sigmoid(-at)).sum(0) / scale
        return (mean * (1.0 - mean) - self.temperature * slope).clamp(min=0.0)

    def entropy(self) -> Tensor:
        r"""Differential entropy in nats, :math:`2 - \log\beta + E[y] - 2E[\operatorname{softplus} y]`
        with :math:`y = \operatorname{logit} z`; taken at :math:`-|\log\alpha|`, for it is even."""
        tail = torch.where(self.log_alpha > 0, -self.log_alpha, self.log_alpha)
        at, scale, weights = _other_logistic(tail, self.temperature)
        positive_part = scale * (weights * softplus(at)).sum(0)
        return 2.0 - torch.log(self.temperature) + (tail - 2.0 * positive_part) / self.temperature


def _inside(z: Tensor) -> Tensor:
    info = torch.finfo(z.dtype)
    return z.clamp(info.tiny, 1.0 - info.eps / 2)


def _other_logistic(location: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Rule for functions of :math:`a + L + bT`, the one of L and T with the smaller scale at nodes.

    With ``at, larger, weights`` returned, :math:`P(a + L + bT > 0) = E[\sigma(\text{at})]` and
    :math:`E[(a + L + bT)_+] = \text{larger}\,E[\operatorname{softplus}(\text{at})]`.
    """
    nodes, weights = logistic_rule(location, max(location.dim(), scale.dim()))
    larger = scale.clamp(min=1.0)
    return location / larger + scale / larger.square() * nodes, larger, weights


@register_kl(BinaryConcrete, BinaryConcrete)
def _kl_binary_concrete(q: BinaryConcrete, p: BinaryConcrete) -> Tensor:
    r"""KL in nats. With :math:`r = \beta_p/\beta_q`, :math:`c = r\log\alpha_q - \log\alpha_p`, L logistic,

    .. math:: 2 E[\operatorname{softplus}(rL + c) - \operatorname{softplus}(L)] - c - \log r,

    at equal temperatures :math:`\delta\coth(\delta/2) - 2` with
    :math:`\delta = \log\alpha_q - \log\alpha_p`.
    """
    ratio = p.temperature / q.temperature
    shift = ratio * q.log_alpha - p.log_alpha
    at, scale, weights = _other_logistic(shift, ratio)
    nodes, _ = logistic_rule(shift, shift.dim())
    excess = (weights * (scale * softplus(at) - softplus(nodes))).sum(0)
    return 2.0 * excess - shift - torch.log(ratio)
