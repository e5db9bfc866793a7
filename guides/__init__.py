"""Variational families, one a file, on one auto-guide base."""

from l0bayes.guides.base import AutoGateGuide, SlabFamily
from l0bayes.guides.bernoulli import AutoBernoulliGates, Estimator
from l0bayes.guides.concrete import AutoConcrete
from l0bayes.guides.concrete_dropout import AutoConcreteDropout
from l0bayes.guides.families import FAMILIES, gate_guide
from l0bayes.guides.hard_concrete import AutoHardConcrete
from l0bayes.guides.hard_kumaraswamy import AutoHardKumaraswamy
from l0bayes.guides.joint import AutoJointGates
from l0bayes.guides.rectified_normal import AutoRectifiedNormal

__all__ = [
    "FAMILIES",
    "AutoBernoulliGates",
    "AutoConcrete",
    "AutoConcreteDropout",
    "AutoGateGuide",
    "AutoHardConcrete",
    "AutoHardKumaraswamy",
    "AutoJointGates",
    "AutoRectifiedNormal",
    "Estimator",
    "SlabFamily",
    "gate_guide",
]
