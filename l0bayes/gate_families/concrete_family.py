r"""The plain concrete family."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from l0bayes.distributions.concrete import BinaryConcrete
from l0bayes.gate_families.family_record import GateFamily, GateParameter

__all__ = ["CONCRETE"]


def _start(activity_logits: Tensor, temperature: Any) -> dict[str, Tensor]:
    r""":math:`\log\alpha = \ell`, at every temperature: the threshold of activity is ½."""
    return {"log_alpha": activity_logits}


CONCRETE = GateFamily(
    name="concrete",
    label="concrete",
    words="never exactly 0, so that deployment needs a threshold",
    law=BinaryConcrete,
    parameters=(GateParameter("log_alpha"),),
    start=_start,
    guide="l0bayes.guides.auto_concrete:AutoConcrete",
    temperature=2.0 / 3.0,
)
"""Its record."""
