"""How good the gradients for the gates are: relaxations and estimators against enumeration."""

from l0bayes.gradients.candidates import Candidate
from l0bayes.gradients.estimates import GateEstimate
from l0bayes.gradients.exact_gradient import enumerated_gradient
from l0bayes.gradients.gate_problem import GateProblem
from l0bayes.gradients.gradient_comparison import GradientReport, gradient_report
from l0bayes.gradients.gradient_draws import BinaryDraws, GradientDraws, PathwiseDraws, Piece

__all__ = [
    "BinaryDraws",
    "Candidate",
    "GateEstimate",
    "GateProblem",
    "GradientDraws",
    "GradientReport",
    "PathwiseDraws",
    "Piece",
    "enumerated_gradient",
    "gradient_report",
]
