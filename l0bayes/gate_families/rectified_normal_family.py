r"""The rectified Normal family."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from l0bayes.distributions import GateLaw
from l0bayes.distributions.rectified_normal import RectifiedNormal, probit_of_logit
from l0bayes.gate_families.family_record import GateFamily, GateParameter

__all__ = ["RECTIFIED_NORMAL"]

# Slope of the logit of the Normal distribution function at 0.
_SLOPE = 4.0 / math.sqrt(2.0 * math.pi)


def _unit(temperature: Any) -> Any:
    r""":math:`\sigma\sqrt{\pi/8}`, in which the activity logit of an undecided gate has slope 1."""
    return temperature / _SLOPE


def _start(activity_logits: Tensor, temperature: Any) -> dict[str, Tensor]:
    r""":math:`\sqrt{8/\pi}\,\Phi^{-1}(\sigma(\ell))` units, at every σ."""
    return {"location": _SLOPE * probit_of_logit(activity_logits)}


def _build(location: Tensor, temperature: Any, unit: Any) -> GateLaw:
    return RectifiedNormal(location * unit, temperature)


RECTIFIED_NORMAL = GateFamily(
    name="rectified_normal",
    label="rectified Normal",
    words="a Normal clipped to 0 and 1, its temperature the standard deviation",
    law=RectifiedNormal,
    parameters=(GateParameter("location"),),
    start=_start,
    guide="l0bayes.guides.auto_rectified_normal:AutoRectifiedNormal",
    build=_build,
    temperature=0.5,
    unit=_unit,
)
"""Its record."""
