r"""The family of binary gates."""

from __future__ import annotations

from torch import Tensor

from l0bayes.distributions.bernoulli import BernoulliGate
from l0bayes.gate_families.family_record import GateFamily, GateParameter

__all__ = ["BERNOULLI"]


def _start(activity_logits: Tensor) -> dict[str, Tensor]:
    return {"logits": activity_logits}


BERNOULLI = GateFamily(
    name="bernoulli",
    label="binary",
    words="binary, with an estimated gradient",
    law=BernoulliGate,
    parameters=(GateParameter("logits"),),
    start=_start,
    guide="l0bayes.guides.auto_bernoulli_gates:AutoBernoulliGates",
    estimators=("disarm", "rloo", "straight_through"),
)
"""Its record."""
