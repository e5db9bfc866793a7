"""Gate laws that can be differentiated through their draws, many posteriors in a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.distributions import BinaryConcrete, GateLaw, HardConcrete, HardKumaraswamy, RectifiedNormal
from l0bayes.distributions.hard_kumaraswamy import shapes_for

__all__ = ["RELAXATIONS", "Relaxation"]

# Slope of the logistic against that of the Normal distribution function, at the middle.
_SLOPE = 0.627


@dataclass(frozen=True)
class Relaxation:
    """A family of gate laws.

    Attributes:
        law: From parameters, shape ``(R, m G)``, and a temperature to the law of ``(R, G)`` gates.
        start: From logits of the activity, shape ``(R, G)``, to parameters.
    """

    law: Callable[[Tensor, Tensor], GateLaw]
    start: Callable[[Tensor], Tensor]


def _hard_concrete(logits: Tensor, temperature: Tensor) -> GateLaw:
    # By its activity, which then stays when the temperature falls.
    shift = HardConcrete(torch.zeros_like(temperature), temperature).activity_logits
    return HardConcrete(logits - shift, temperature)


def _concrete(logits: Tensor, temperature: Tensor) -> GateLaw:
    return BinaryConcrete(logits, temperature)


def _rectified_normal(logits: Tensor, temperature: Tensor) -> GateLaw:
    return RectifiedNormal(logits * (_SLOPE * temperature), temperature)


def _hard_kumaraswamy(parameters: Tensor, temperature: Tensor) -> GateLaw:
    """Its sharpness is a parameter: the temperature says nothing here."""
    log_a, log_b = parameters.chunk(2, -1)
    return HardKumaraswamy(log_a, log_b)


def _shapes(logits: Tensor) -> Tensor:
    log_a, log_b = shapes_for(0.5, 0.25)
    return torch.cat([log_a + 0.3 * logits, torch.full_like(logits, log_b)], -1)


RELAXATIONS: dict[str, Relaxation] = {
    "hard_concrete": Relaxation(_hard_concrete, lambda logits: logits),
    "concrete": Relaxation(_concrete, lambda logits: logits),
    "rectified_normal": Relaxation(_rectified_normal, lambda logits: logits),
    "hard_kumaraswamy": Relaxation(_hard_kumaraswamy, _shapes),
}
"""The families by name."""
