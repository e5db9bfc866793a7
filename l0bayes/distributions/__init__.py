"""Gate laws, gate priors, slabs and their KL divergences. Imports torch and Pyro only."""

import l0bayes.distributions.log_normal_kl
import l0bayes.distributions.student_t_kl  # noqa: F401 - both register their KLs
from l0bayes.distributions.autoregressive import AutoregressiveGates
from l0bayes.distributions.bernoulli import BernoulliGate
from l0bayes.distributions.concrete import BinaryConcrete
from l0bayes.distributions.conditional_slab import ConditionalSlab
from l0bayes.distributions.deployment import DeploymentRule, deployed_gates
from l0bayes.distributions.gate_law import GateLaw
from l0bayes.distributions.hard_concrete import HardConcrete
from l0bayes.distributions.hard_kumaraswamy import HardKumaraswamy
from l0bayes.distributions.joint_gates import JointGateLaw
from l0bayes.distributions.open_weights import MARGINALS, marginal_of_open, register_marginal
from l0bayes.distributions.priors import Gate, GatePrior, L0Penalty
from l0bayes.distributions.rectified_normal import RectifiedNormal
from l0bayes.distributions.slab import GatedSlab, L2Penalty
from l0bayes.distributions.slab_law import SlabLaw
from l0bayes.distributions.straight_through import StraightThroughGate

__all__ = [
    "MARGINALS",
    "AutoregressiveGates",
    "BernoulliGate",
    "BinaryConcrete",
    "ConditionalSlab",
    "DeploymentRule",
    "Gate",
    "GateLaw",
    "GatePrior",
    "GatedSlab",
    "HardConcrete",
    "HardKumaraswamy",
    "JointGateLaw",
    "L0Penalty",
    "L2Penalty",
    "RectifiedNormal",
    "SlabLaw",
    "StraightThroughGate",
    "deployed_gates",
    "marginal_of_open",
    "register_marginal",
]
