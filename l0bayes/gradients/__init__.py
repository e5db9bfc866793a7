"""How good the gradients for the gates are: relaxations and estimators against enumeration."""

from l0bayes.gradients.candidates import Candidate
from l0bayes.gradients.draws import BinaryDraws, GradientDraws, PathwiseDraws, Piece
from l0bayes.gradients.estimates import GateEstimate
from l0bayes.gradients.exact import enumerated_gradient
from l0bayes.gradients.plot import plot_gradients
from l0bayes.gradients.problem import GateProblem
from l0bayes.gradients.report import GradientReport, gradient_report

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
    "plot_gradients",
]
