"""Variational families, one a file, on one auto-guide base."""

from l0bayes.guides.base import AutoGateGuide, SlabFamily
from l0bayes.guides.hard_concrete import AutoHardConcrete

__all__ = ["AutoGateGuide", "AutoHardConcrete", "SlabFamily"]
