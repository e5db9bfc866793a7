r"""Many draws of a gradient, kept as moments, and compared with a reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from l0bayes.gradients.gradient_draws import GradientDraws

__all__ = ["GateEstimate", "Moments", "Reference", "draw_moments", "judge"]

# Draws are averaged in this many groups, whose scatter gives the uncertainty of the bias: enough for an
# interval, and few enough to be kept for networks of any size.
_GROUPS = 50


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of S independent draws of a gradient of G gates, in float64.

    Attributes:
        mean: Shape (G,).
        variance: Of one draw, shape (G,).
        groups: Means of disjoint groups of draws, shape (groups, G).
        cosine: Mean cosine of one draw with the centre; nan without one.
        num_draws: S.
    """

    mean: Tensor
    variance: Tensor
    groups: Tensor
    cosine: float
    num_draws: int

    @property
    def standard_error(self) -> Tensor:
        """Of the mean, shape (G,)."""
        return (self.variance / self.num_draws).sqrt()


@dataclass(frozen=True, eq=False)
class Reference:
    """The gradient that candidates are measured by.

    Attributes:
        gradient: Shape (G,), float64.
        moments: Of the draws it is the mean of; ``None`` if it is exact.
    """

    gradient: Tensor
    moments: Moments | None = None

    @property
    def standard_error(self) -> Tensor:
        """Per gate; zeros if it is exact."""
        return torch.zeros_like(self.gradient) if self.moments is None else self.moments.standard_error

    @property
    def squared_norm(self) -> float:
        r""":math:`\lVert g \rVert^2` without the share of the reference's noise; not below 0."""
        return max(0.0, float((self.gradient.square() - self.standard_error.square()).sum()))


@dataclass(frozen=True, eq=False)
class GateEstimate:
    r"""How one candidate did; g is the reference and s one draw.

    Attributes:
        mean: Mean of the draws for every gate, shape (G,), float64.
        standard_error: Of that mean.
        evaluations: Evaluations of the model a draw.
        bias: :math:`\lVert E s - g \rVert / \lVert g \rVert`, the noise of both means taken out.
        bias_low: Lower end of its 95 % interval; 0 where no bias is seen.
        bias_high: Upper end.
        cosine: Of the mean with g.
        draw_cosine: Mean of the cosine of one draw with g.
        snr: :math:`\lVert E s \rVert / \sqrt{\operatorname{tr}\operatorname{Cov}(s)}`, signal to noise.
        variance: :math:`\operatorname{tr}\operatorname{Cov}(s)`.
        relative_variance: The same over :math:`\lVert g \rVert^2`.
    """

    mean: Tensor
    standard_error: Tensor
    evaluations: int
    bias: float
    bias_low: float
    bias_high: float
    cosine: float
    draw_cosine: float
    snr: float
    variance: float
    relative_variance: float

    @property
    def cost_variance(self) -> float:
        """Relative variance times evaluations: the variance at equal cost."""
        return self.relative_variance * self.evaluations

    def intervals(self, level: float, comparisons: int = 1) -> Tensor:
        """Normal confidence intervals of the mean, shape (G, 2).

        Args:
            level: Probability that an interval covers; all of them together, with ``comparisons=G``.
            comparisons: Number of intervals among which the error probability is divided.
        """
        width = NormalDist().inv_cdf(1.0 - 0.5 * (1.0 - level) / comparisons) * self.standard_error
        return torch.stack([self.mean - width, self.mean + width], -1)


def draw_moments(
    draws: GradientDraws, num_draws: int, chunk_size: int, centre: Tensor | None = None
) -> Moments:
    """Draw many times, in chunks, and keep the moments.

    Args:
        draws: What to draw from.
        num_draws: How often, at least 2.
        chunk_size: Draws at a time, to bound memory.
        centre: The gradient that cosines are taken with, and around which is summed.
    """
    sums: Tensor | None = None
    squares: Tensor | float = 0.0
    cosines, done, groups = 0.0, 0, min(_GROUPS, num_draws)
    while done < num_draws:
        count = min(chunk_size, num_draws - done)
        chunk = draws.draw(count).double()
        around = torch.zeros_like(chunk[0]) if centre is None else centre
        if sums is None:
            sums = chunk.new_zeros(groups, chunk.shape[-1])
        deviations = chunk - around
        sums.index_add_(0, (done + torch.arange(count, device=chunk.device)) % groups, deviations)
        squares = squares + deviations.square().sum(0)
        if centre is not None:
            cosines += float(_cosines(chunk, centre).sum())
        done += count
    assert sums is not None  # num_draws is positive
    total = sums.sum(0)
    sizes = (num_draws + groups - 1 - torch.arange(groups, device=sums.device)) // groups
    variance = ((squares - total.square() / num_draws) / (num_draws - 1)).clamp(min=0.0)
    return Moments(
        mean=around + total / num_draws,
        variance=variance,
        groups=around + sums / sizes[:, None],
        cosine=math.nan if centre is None else cosines / num_draws,
        num_draws=num_draws,
    )


def judge(moments: Moments, reference: Reference, evaluations: int) -> GateEstimate:
    r"""Put the draws of a candidate beside the reference.

    Args:
        moments: The draws' moments.
        reference: The gradient itself, or the mean of other draws.
        evaluations: Evaluations of the model a draw.
    """
    g, norm2 = reference.gradient, reference.squared_norm
    norm = math.sqrt(norm2) if norm2 > 0.0 else math.nan
    low, bias, high = (math.sqrt(max(0.0, value)) / norm for value in _squared_bias(moments, reference))
    variance = float(moments.variance.sum())
    signal2 = float((moments.mean.square() - moments.standard_error.square()).sum())
    return GateEstimate(
        mean=moments.mean,
        standard_error=moments.standard_error,
        evaluations=evaluations,
        bias=bias,
        bias_low=low,
        bias_high=high,
        cosine=float(_cosines(moments.mean[None], g)),
        draw_cosine=moments.cosine,
        snr=math.sqrt(max(0.0, signal2) / variance) if variance > 0.0 else math.inf,
        variance=variance,
        relative_variance=variance / norm2 if norm2 > 0.0 else math.nan,
    )


def _squared_bias(moments: Moments, reference: Reference) -> tuple[float, float, float]:
    r"""Estimate of :math:`\lVert b \rVert^2`, :math:`b = E s - g`, in the middle of its 95 % interval.

    The difference d of the two means has :math:`E\lVert d \rVert^2 = \lVert b \rVert^2 + \operatorname{tr} C`
    with C its covariance, which is estimated from the means of groups of draws, and taken off. The
    estimate's variance :math:`4\,b^\top C b + 2 \operatorname{tr} C^2` grows with the bias itself, so the
    interval holds the values :math:`\lVert b \rVert^2` that are compatible with the draws, each
    judged by its own variance. The second term is doubled: where it is all there is the estimate is
    skewed like a :math:`\chi^2`, and 1.96 standard deviations are too few.
    """
    blocks = [moments.groups] if reference.moments is None else [moments.groups, reference.moments.groups]
    difference = moments.mean - reference.gradient
    # rows' rows = C: each block's own covariance, over its number of groups
    rows = torch.cat([(one - one.mean(0)) / math.sqrt(len(one) * (len(one) - 1)) for one in blocks])
    trace = float(rows.square().sum())
    square = float((rows @ rows.T).square().sum())
    start = 0
    for one in blocks:  # tr C^2 is inflated by the noise of C
        own = float(rows[start : start + len(one)].square().sum())
        square, start = square - own**2 / (len(one) - 1), start + len(one)
    square = max(square, trace**2 / rows.shape[-1])
    length2 = float(difference.square().sum())
    along = float((rows @ difference).square().sum()) / length2 if length2 > 0.0 else 0.0
    estimate, z2 = length2 - trace, NormalDist().inv_cdf(0.975) ** 2
    middle = estimate + 2.0 * z2 * along
    half = math.sqrt(max(0.0, middle**2 - estimate**2 + 4.0 * z2 * square))
    return middle - half, estimate, middle + half


def _cosines(rows: Tensor, direction: Tensor) -> Tensor:
    """Cosine of each row with a direction; 0 where either vanishes."""
    tiny = torch.finfo(rows.dtype).tiny
    rows = rows / rows.norm(dim=-1, keepdim=True).clamp(min=tiny)
    cosines: Tensor = rows @ (direction / direction.norm().clamp(min=tiny))
    return cosines
