r"""The hard Kumaraswamy law of Bastings, Aziz and Titov (2019)."""

from __future__ import annotations

import math

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import register_kl
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from l0bayes.distributions.constraints import finite
from l0bayes.distributions.gate_law import GateLaw, mixed_kl
from l0bayes.distributions.numerics import log1mexp
from l0bayes.distributions.stretch import checked_stretch, interior_rule

__all__ = ["HardKumaraswamy", "shapes_at", "shapes_for"]

# Gauss-Legendre nodes per unit of logit space. The density is steepest where b is large, where its width
# is about 1 / log b: 13 nodes serve b up to 100, 20 up to 400.
_NODES_PER_UNIT = 20.0
# Beyond it exp(x) is so small that a term of its square is below the rounding of float64.
_SMALL = -20.0
_WIDEST_SHAPE = 80.0
_HALVINGS = 110  # until no number lies between
_NO_SHAPES = f"no shapes between exp(-{_WIDEST_SHAPE:g}) and exp({_WIDEST_SHAPE:g}) have these atoms"


class HardKumaraswamy(GateLaw):
    r"""Hard Kumaraswamy gate: a Kumaraswamy variable, stretched to (γ, ζ) and clipped to [0, 1].

    With :math:`u \sim U(0,1)` and shapes :math:`a, b > 0`,

    .. math::
        s = \bigl(1 - (1 - u)^{1/b}\bigr)^{1/a}, \qquad z = \min(1, \max(0, s(\zeta - \gamma) + \gamma)),

    .. math::
        P(s > t) = (1 - t^a)^b, \qquad
        P(z \ne 0) = P\Bigl(s > \frac{-\gamma}{\zeta-\gamma}\Bigr), \qquad
        P(z = 1) = P\Bigl(s > \frac{1-\gamma}{\zeta-\gamma}\Bigr).

    The two shapes set the two atoms freely (``shapes_for`` of this module finds them), so that a gate
    learns its own sharpness and no temperature is needed. A larger a opens the gate, a larger b shuts it.

    Mean, variance, entropy and KL are good to 1e-11 for shapes between 0.01 and 100 (at the default
    stretch between 1/400 and 400). Draws and activities are finite, gradients included, for logarithms
    of the shapes up to 40 in size, in float32 too.

    Source: arXiv 1905.08160, section 3.

    Args:
        log_a: Logarithm of the first shape, any shape of tensor.
        log_b: Logarithm of the second, broadcastable to it.
        stretch: ``(gamma, zeta)`` with ``gamma < 0`` and ``zeta > 1``.

    Raises:
        ValueError: If the stretch does not contain [0, 1] in its interior, or, with validation on,
            if ``log_a`` or ``log_b`` is not finite.
    """

    arg_constraints = {"log_a": finite, "log_b": finite}
    parameter_names = ("log_a", "log_b")
    setting_names = ("stretch",)

    def __init__(
        self,
        log_a: Tensor | float,
        log_b: Tensor | float,
        stretch: tuple[float, float] = (-0.1, 1.1),
        validate_args: bool | None = None,
    ) -> None:
        self.stretch = checked_stretch(stretch)
        self.log_a, self.log_b = broadcast_all(log_a, log_b)
        TorchDistribution.__init__(self, self.log_a.shape, validate_args=validate_args)

    def _log_unstretched(self, z: Tensor) -> Tensor:
        """Logarithm of s, from whichever of s and 1 - s is the smaller."""
        gamma, zeta = self.stretch
        s, rest = (z - gamma) / (zeta - gamma), (zeta - z) / (zeta - gamma)
        return torch.where(s < 0.5, torch.log(s), torch.log1p(-rest))

    def _survival_logits(self, log_t: Tensor | float) -> Tensor:
        r""":math:`\operatorname{logit} P(s > t) = -\log(e^v - 1)` with :math:`v = -b\log(1 - t^a)`.

        Where v is small it may be too small to be represented and only its logarithm is taken.
        """
        x = self.log_a.exp() * log_t
        far = x < _SMALL
        rate = -log1mexp(torch.where(far, -1.0, x))
        log_v = self.log_b + torch.where(far, x + 0.5 * x.exp(), rate.log())
        tiny = log_v < _SMALL
        below = torch.where(tiny, log_v, _SMALL)
        v = torch.where(far, torch.where(tiny, _SMALL, log_v).exp(), self.log_b.exp() * rate)
        v = torch.where(tiny, 1.0, v)
        return -torch.where(tiny, below + 0.5 * below.exp(), v + log1mexp(-v))

    @property
    def activity_logits(self) -> Tensor:
        return self._survival_logits(_log_ends(self.stretch)[0])

    @property
    def saturation_logits(self) -> Tensor:
        return self._survival_logits(_log_ends(self.stretch)[1])

    def unclipped_icdf(self, u: Tensor) -> Tensor:
        gamma, zeta = self.stretch
        log_s = log1mexp(torch.log1p(-u) * (-self.log_b).exp()) * (-self.log_a).exp()
        return log_s.exp() * (zeta - gamma) + gamma

    def survival_logits(self, x: Tensor) -> Tensor:
        return self._survival_logits(self._log_unstretched(x))

    def log_density(self, z: Tensor) -> Tensor:
        r"""That of s, :math:`ab\,s^{a-1}(1 - s^a)^{b-1}`, over :math:`\zeta - \gamma`."""
        gamma, zeta = self.stretch
        a, b, log_s = self.log_a.exp(), self.log_b.exp(), self._log_unstretched(z)
        log_scale = self.log_a + self.log_b - math.log(zeta - gamma)
        return log_scale + (a - 1.0) * log_s + (b - 1.0) * log1mexp(a * log_s)

    @property
    def noise_free(self) -> Tensor:
        r"""The mean of s in the place of its draw, :math:`\operatorname{clip}(E[s](\zeta-\gamma)+\gamma)`
        with :math:`E[s] = b\,B(1 + 1/a, b)`, in analogy to Eq. 13 of the hard concrete. It is not the
        mean of the gate, which :attr:`mean` is."""
        gamma, zeta = self.stretch
        mean = _log_inverse_binomial((-self.log_a).exp(), self.log_b.exp()).exp()
        return (mean * (zeta - gamma) + gamma).clamp(0.0, 1.0)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        return interior_rule(self.log_a, self.stretch, _NODES_PER_UNIT)


def _log_ends(stretch: tuple[float, float]) -> tuple[float, float]:
    """Logarithms of the values of s that are stretched to 0 and to 1."""
    gamma, zeta = stretch
    return math.log(-gamma / (zeta - gamma)), math.log1p(-(zeta - 1.0) / (zeta - gamma))


def _log_inverse_binomial(x: Tensor, y: Tensor) -> Tensor:
    r""":math:`\log\frac{\Gamma(1 + x)\,\Gamma(1 + y)}{\Gamma(1 + x + y)}` for x, y > 0.

    The ratio of the two Gammas with the large argument is taken from Stirling's series, in which their
    leading terms cancel on paper; its first term left out is below 3e-14.
    """
    small, large = torch.minimum(x, y), 1.0 + torch.maximum(x, y)
    by_series = large > 10.0
    at = torch.where(by_series, large, 10.0)
    growth = (at - 0.5) * torch.log1p(small / at) + small * torch.log(at + small) - small
    series = growth + _stirling_rest(at + small) - _stirling_rest(at)
    direct = torch.lgamma(large.clamp(max=10.0) + small) - torch.lgamma(large.clamp(max=10.0))
    return torch.lgamma(1.0 + small) - torch.where(by_series, series, direct)


def _stirling_rest(x: Tensor) -> Tensor:
    """``lgamma(x)`` less ``(x - 1/2) log(x) - x`` and a constant, for x of at least 10."""
    square = x.reciprocal().square()
    tail = 1 / 1260 - square * (1 / 1680 - square / 1188)
    return (1 / 12 - square * (1 / 360 - square * tail)) / x


def shapes_for(
    active: float, saturated: float, stretch: tuple[float, float] = (-0.1, 1.1)
) -> tuple[float, float]:
    r"""The shapes whose gate has given atoms; see :func:`shapes_at`.

    Args:
        active: :math:`P(z \ne 0)`.
        saturated: :math:`P(z = 1)`, with ``0 < saturated < active < 1``.
        stretch: ``(gamma, zeta)`` with ``gamma < 0`` and ``zeta > 1``.

    Returns:
        ``(log_a, log_b)``.

    Raises:
        ValueError: If the probabilities are not in this order, or so close that a shape would leave the
            range from exp(-80) to exp(80), or if the stretch does not contain [0, 1] in its interior.
    """
    if not 0.0 < saturated < active < 1.0:
        raise ValueError(
            "active and saturated must be probabilities with 0 < saturated < active < 1, "
            f"got active={active!r} and saturated={saturated!r}"
        )
    rates = torch.tensor([active, saturated], dtype=torch.float64).log().neg().log()
    log_a, log_b, found = _solve_shapes(rates[0], rates[1], stretch)
    if not found:
        raise ValueError(f"active={active!r} and saturated={saturated!r} are too close: {_NO_SHAPES}")
    return log_a.item(), log_b.item()


def shapes_at(
    activity_logits: Tensor, saturation_logits: Tensor, stretch: tuple[float, float] = (-0.1, 1.1)
) -> tuple[Tensor, Tensor]:
    r"""The shapes whose gates have given atoms, from the logits of :math:`P(z \ne 0)` and :math:`P(z = 1)`.

    :math:`\log P(z = 1)/\log P(z \ne 0)` does not depend on b and rises with a from 1 to infinity, so
    that a is found by bisection and b in closed form.

    Args:
        activity_logits: Of any shape, float64.
        saturation_logits: Of the same shape, each below that of the activity.
        stretch: ``(gamma, zeta)`` with ``gamma < 0`` and ``zeta > 1``.

    Returns:
        ``(log_a, log_b)``, each of that shape.

    Raises:
        ValueError: If two are so close that a shape would leave the range from exp(-80) to exp(80), or the
            stretch does not contain [0, 1] in its interior.
    """
    log_a, log_b, found = _solve_shapes(_log_log(activity_logits), _log_log(saturation_logits), stretch)
    if not found.all():
        at = activity_logits[~found][0].item(), saturation_logits[~found][0].item()
        raise ValueError(f"the logits {at[0]!r} of activity and {at[1]!r} of saturation: {_NO_SHAPES}")
    return log_a, log_b


def _log_log(logits: Tensor) -> Tensor:
    r""":math:`\log(-\log\sigma(\ell))`."""
    far = logits > -_SMALL
    rate = -logsigmoid(torch.where(far, 0.0, logits))
    return torch.where(far, -logits - 0.5 * torch.exp(-logits), rate.log())


def _solve_shapes(
    active: Tensor, saturated: Tensor, stretch: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Both shapes from the two :math:`\log(-\log P)`, and where there are any."""
    at_zero, at_one = _log_ends(checked_stretch(stretch))
    wanted = saturated - active

    def ratio(log_a: Tensor) -> Tensor:
        return _log_rate(log_a, at_one) - _log_rate(log_a, at_zero)

    low, high = torch.full_like(wanted, -_WIDEST_SHAPE), torch.full_like(wanted, _WIDEST_SHAPE)
    found = (ratio(low) < wanted) & (wanted < ratio(high))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = ratio(middle) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return high, active - _log_rate(high, at_zero), found


def _log_rate(log_a: Tensor, log_t: float) -> Tensor:
    """``log(-log(1 - t ** a))``."""
    x = log_a.exp() * log_t
    far = x < _SMALL
    near = (-log1mexp(torch.where(far, -1.0, x))).log()
    return torch.where(far, x + 0.5 * x.exp(), near)


@register_kl(HardKumaraswamy, HardKumaraswamy)
def _kl_hard_kumaraswamy(q: HardKumaraswamy, p: HardKumaraswamy) -> Tensor:
    """KL in the mixed measure; see :func:`~l0bayes.distributions.gate_law.mixed_kl`.

    Stretches may differ; the integral is taken in the logit of the narrower one, in which both
    densities are smooth.
    """
    narrower = max(q.stretch[0], p.stretch[0]), min(q.stretch[1], p.stretch[1])
    nodes, weights = interior_rule(q.log_a, narrower, _NODES_PER_UNIT)
    shape = (-1, *(1 for _ in range(max(len(q.batch_shape), len(p.batch_shape)))))
    return mixed_kl(q, p, nodes.reshape(shape), weights.reshape(shape))
