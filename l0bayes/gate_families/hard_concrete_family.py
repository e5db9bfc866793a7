r"""The hard concrete family."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from l0bayes.distributions.hard_concrete import HardConcrete
from l0bayes.distributions.stretch import checked_stretch, logit_of_zero
from l0bayes.gate_families.family_record import GateFamily, GateParameter

__all__ = ["HARD_CONCRETE"]


def _start(activity_logits: Tensor, temperature: Any, stretch: tuple[float, float]) -> dict[str, Tensor]:
    r""":math:`\log\alpha = \ell + \beta\log(-\gamma/\zeta)`."""
    return {"log_alpha": activity_logits + temperature * logit_of_zero(checked_stretch(stretch))}


HARD_CONCRETE = GateFamily(
    name="hard_concrete",
    label="hard concrete",
    words="a concrete stretched beyond 0 and 1 and clipped",
    law=HardConcrete,
    parameters=(GateParameter("log_alpha"),),
    start=_start,
    guide="l0bayes.guides.auto_hard_concrete:AutoHardConcrete",
    settings={"stretch": (-0.1, 1.1)},
    temperature=2.0 / 3.0,
)
"""Its record."""
