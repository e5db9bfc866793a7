"""The record and the guide of a law from outside the package, as a user writes them into a file."""

import math

import torch
from torch.distributions import constraints

from l0bayes.gate_families import GateFamily, GateParameter, register_family
from l0bayes.guides import FamilyGuide
from tests.gate_families.logistic_law import LogisticGate


class AutoLogisticGates(FamilyGuide):
    """Guide with logistic gates."""

    gate_law = "logistic"


def start(activity_logits, temperature):
    width = torch.full_like(activity_logits, 0.3) * temperature
    return {"location": width * activity_logits, "width": width}


register_family(
    GateFamily(
        name="logistic",
        label="clipped logistic",
        words="a logistic variable clipped to 0 and 1, its width learned",
        law=LogisticGate,
        parameters=(GateParameter("location"), GateParameter("width", constraints.positive)),
        start=start,
        guide=AutoLogisticGates,
        temperature=math.exp(-1),
        only_start_has_temperature=True,
    )
)
