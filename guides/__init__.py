"""Variational families, one a file, on one auto-guide base."""

from l0bayes.guides.auto_bernoulli_gates import AutoBernoulliGates, Estimator
from l0bayes.guides.auto_concrete import AutoConcrete
from l0bayes.guides.auto_concrete_dropout import AutoConcreteDropout
from l0bayes.guides.auto_hard_concrete import AutoHardConcrete
from l0bayes.guides.auto_hard_kumaraswamy import AutoHardKumaraswamy
from l0bayes.guides.auto_joint_gates import AutoJointGates
from l0bayes.guides.auto_rectified_normal import AutoRectifiedNormal
from l0bayes.guides.family_guide import FamilyGuide
from l0bayes.guides.gate_guide import AutoGateGuide, SlabLaw
from l0bayes.guides.guide_by_name import gate_guide

__all__ = [
    "AutoBernoulliGates",
    "AutoConcrete",
    "AutoConcreteDropout",
    "AutoGateGuide",
    "AutoHardConcrete",
    "AutoHardKumaraswamy",
    "AutoJointGates",
    "AutoRectifiedNormal",
    "Estimator",
    "FamilyGuide",
    "SlabLaw",
    "gate_guide",
]
