r"""How far a prior alone can carry gates during a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Pull", "SiteForecast", "joined", "under_adam", "under_sgd"]

_NODES, _WEIGHTS = (torch.tensor(a) for a in np.polynomial.legendre.leggauss(48))


@dataclass(frozen=True)
class SiteForecast:
    r"""How far the gates of one site can go.

    Attributes:
        gates: Number of gates that start open.
        pull: Force of the prior on a gate at :math:`P(z \ne 0) = \tfrac12`, per unit of
            :math:`\sigma'`, in nats: the penalty λ of ``L0Penalty``, :math:`-\operatorname{logit}\pi`
            of ``Gate``. The mean over the gates.
        start: Activity logit of the gate that is nearest to closing.
        end: Where it can be at the end of the run, 0 where it closes.
        closing: Number of gates that can close, those that start closed left out.
        factor: How many times larger the gates' learning rate would have to be for the first gate to
            close; at most 1 where one closes, infinite where nothing pulls.
    """

    gates: int
    pull: float
    start: float
    end: float
    closing: int
    factor: float


@dataclass(frozen=True)
class Pull:
    """The force f(a) of a prior on an activity logit a: ``constant + slope * a``, elementwise.

    Attributes:
        constant: Force at a = 0, in nats, shape ``(n,)``.
        slope: Its change with a.
    """

    constant: Tensor
    slope: float

    def __call__(self, logits: Tensor) -> Tensor:
        return self.constant + self.slope * logits

    def __getitem__(self, index: Tensor | slice) -> Pull:
        return Pull(self.constant[index], self.slope)


def under_sgd(start: Tensor, pull: Pull, time: Tensor) -> SiteForecast:
    """How far gates get under stochastic gradient descent.

    Args:
        start: Activity logits at the start, shape ``(n,)``.
        pull: The force of the prior.
        time: Sum of the learning rates over the run for each gate, shape ``(n,)``.
    """
    is_open = start > 0
    if not is_open.any():
        return _none_open(start, pull)
    start, pull, time = start[is_open], pull[is_open], time[is_open]
    needed = _time(start, torch.zeros_like(start), pull)
    first = (needed / time).argmin()
    low, high = torch.zeros(()).double(), start[first]
    for _ in range(60):  # where the first gate gets to: the travel time grows as the end falls
        middle = (low + high) / 2
        if _time(start[first], middle, pull[first]) > time[first]:
            low = middle
        else:
            high = middle
    return SiteForecast(
        gates=len(start),
        pull=float(pull.constant.mean()),
        start=float(start[first]),
        end=0.0 if needed[first] <= time[first] else float(high),
        closing=int((needed <= time).sum()),
        factor=float(needed[first] / time[first]),
    )


def _time(start: Tensor, end: Tensor, pull: Pull) -> Tensor:
    r""":math:`\int da / (\sigma'(a) f(a))` from end to start; infinite where the prior does not pull down."""
    middle, half = (start + end) / 2, (start - end) / 2
    total = torch.zeros_like(start)
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        logits = middle + half * node
        total = total + weight * half * (2.0 + 2.0 * torch.cosh(logits)) / pull(logits)
    return torch.where(pull(end) > 0, total, torch.inf)


def under_adam(start: Tensor, pull: Pull, distance: Tensor) -> SiteForecast:
    """How far gates get under Adam, which moves them by about the learning rate whatever the force.

    Args:
        start: Activity logits at the start, shape ``(n,)``.
        pull: The force of the prior.
        distance: How far each gate gets over the run, shape ``(n,)``.
    """
    is_open = start > 0
    if not is_open.any():
        return _none_open(start, pull)
    start, pull, distance = start[is_open], pull[is_open], distance[is_open]
    needed = torch.where(pull(torch.zeros_like(start)) > 0, start, torch.inf)
    first = (needed / distance).argmin()
    end = (
        float((start[first] - distance[first]).clamp(min=0.0))
        if needed[first] < torch.inf
        else float(start[first])
    )
    return SiteForecast(
        gates=len(start),
        pull=float(pull.constant.mean()),
        start=float(start[first]),
        end=end,
        closing=int((needed <= distance).sum()),
        factor=float(needed[first] / distance[first]),
    )


def joined(parts: Sequence[SiteForecast]) -> SiteForecast:
    """The forecast of a site from those of its gates in parts.

    Args:
        parts: The forecasts, at least one, of parts equally long but for the last.
    """
    if len(parts) == 1:
        return parts[0]
    opened = [part for part in parts if part.gates]
    if not opened:
        nearest = max(part.start for part in parts)
        return SiteForecast(0, sum(part.pull for part in parts) / len(parts), nearest, nearest, 0, 0.0)
    gates = sum(part.gates for part in opened)
    first = min(opened, key=lambda part: part.factor)
    return SiteForecast(
        gates=gates,
        pull=sum(part.pull * part.gates for part in opened) / gates,
        start=first.start,
        end=first.end,
        closing=sum(part.closing for part in opened),
        factor=first.factor,
    )


def _none_open(start: Tensor, pull: Pull) -> SiteForecast:
    nearest = float(start.max()) if len(start) else 0.0
    return SiteForecast(0, float(pull.constant.mean()) if len(start) else 0.0, nearest, nearest, 0, 0.0)
