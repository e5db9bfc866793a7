r"""The hard Kumaraswamy family."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from l0bayes.distributions.hard_kumaraswamy import HardKumaraswamy, shapes_at
from l0bayes.distributions.stretch import checked_stretch, logit_of_one, logit_of_zero
from l0bayes.gate_families.family_record import GateFamily, GateParameter

__all__ = ["HARD_KUMARASWAMY"]


def _start(activity_logits: Tensor, temperature: Any, stretch: tuple[float, float]) -> dict[str, Tensor]:
    """The shapes with the atoms of the hard concrete of this activity, temperature and stretch."""
    stretch = checked_stretch(stretch)
    between = temperature * (logit_of_one(stretch) - logit_of_zero(stretch))
    log_a, log_b = shapes_at(activity_logits, activity_logits - between, stretch)
    return {"log_a": log_a, "log_b": log_b}


HARD_KUMARASWAMY = GateFamily(
    name="hard_kumaraswamy",
    label="hard Kumaraswamy",
    words="learns how sharp it is and has no temperature",
    law=HardKumaraswamy,
    parameters=(GateParameter("log_a"), GateParameter("log_b")),
    start=_start,
    guide="l0bayes.guides.auto_hard_kumaraswamy:AutoHardKumaraswamy",
    settings={"stretch": (-0.1, 1.1)},
    temperature=2.0 / 3.0,
    only_start_has_temperature=True,
)
"""Its record."""
