"""Help texts of options, made from the registry."""

from __future__ import annotations

from l0bayes.gate_families.family_registry import GATE_FAMILIES

__all__ = ["estimator_help", "gate_law_help"]


def gate_law_help() -> str:
    """What an option ``gate_law`` takes: every name with its words."""
    return (
        "Law of the gates. " + "; ".join(f"{name}: {one.words}" for name, one in GATE_FAMILIES.items()) + "."
    )


def estimator_help() -> str:
    """What an option ``estimator`` takes: the estimators of every law of binary gates."""
    return " ".join(
        f"Gradient of {name} gates: {', '.join(one.estimators)}."
        for name, one in GATE_FAMILIES.items()
        if one.estimators
    )
