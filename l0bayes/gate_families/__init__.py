"""Gate families: one record each, by name, for guides, selection, gradients and the command line."""

from l0bayes.gate_families.family_record import GateFamily, GateParameter
from l0bayes.gate_families.family_registry import (
    DEFAULT_GATE_LAW,
    GATE_FAMILIES,
    gate_family,
    register_family,
)

__all__ = [
    "DEFAULT_GATE_LAW",
    "GATE_FAMILIES",
    "GateFamily",
    "GateParameter",
    "gate_family",
    "register_family",
]
