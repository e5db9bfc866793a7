"""Variational families, one a file, on one auto-guide base."""

from l0bayes.guides.auto_bernoulli_gates import AutoBernoulliGates, Estimator
from l0bayes.guides.auto_concrete import AutoConcrete
from l0bayes.guides.auto_concrete_dropout import AutoConcreteDropout
from l0bayes.guides.auto_hard_concrete import AutoHardConcrete
from l0bayes.guides.auto_hard_kumaraswamy import AutoHardKumaraswamy
from l0bayes.guides.auto_joint_gates import AutoJointGates
from l0bayes.guides.auto_rectified_normal import AutoRectifiedNormal
from l0bayes.guides.families import FAMILIES, gate_guide
from l0bayes.guides.gate_guide import AutoGateGuide, SlabFamily

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
