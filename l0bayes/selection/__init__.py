"""Variable selection: posteriors of gates in a linear predictor, exact and sampled. Knows no guide."""

from l0bayes.selection.coefficients import Coefficients, coefficients_of, narrowest_interval
from l0bayes.selection.exact import enumerate_models
from l0bayes.selection.gibbs import GibbsOptions, sample_models
from l0bayes.selection.problem import InclusionPrior, InverseGamma, LinearProblem
from l0bayes.selection.result import ModelDraws, SelectionPosterior

__all__ = [
    "Coefficients",
    "GibbsOptions",
    "InclusionPrior",
    "InverseGamma",
    "LinearProblem",
    "ModelDraws",
    "SelectionPosterior",
    "coefficients_of",
    "enumerate_models",
    "narrowest_interval",
    "sample_models",
]
