r"""The family of Concrete Dropout."""

from __future__ import annotations

from dataclasses import replace

from l0bayes.gate_families.concrete_family import CONCRETE

__all__ = ["CONCRETE_DROPOUT"]

CONCRETE_DROPOUT = replace(
    CONCRETE,
    name="concrete_dropout",
    label="Concrete Dropout",
    words="the concrete with one probability for all gates of a layer",
    guide="l0bayes.guides.auto_concrete_dropout:AutoConcreteDropout",
    temperature=0.1,
    tied=True,
)
"""Its record."""
