"""Variable selection: posteriors of gates in a linear predictor, exact and sampled. Knows no guide."""

from l0bayes.selection.engines.choose_engine import Engine, infer_gates
from l0bayes.selection.engines.exact_gaussian import enumerate_models
from l0bayes.selection.engines.gibbs_gaussian import GibbsOptions, sample_models
from l0bayes.selection.problem.linear_problem import InclusionPrior, InverseGamma, LinearProblem
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior
from l0bayes.selection.summaries.coefficients import Coefficients, coefficients_of, narrowest_interval
from l0bayes.selection.trust.posterior_trust import Trust, TrustWarning

__all__ = [
    "Coefficients",
    "Engine",
    "GibbsOptions",
    "InclusionPrior",
    "InverseGamma",
    "LinearProblem",
    "ModelDraws",
    "SelectionPosterior",
    "Trust",
    "TrustWarning",
    "coefficients_of",
    "enumerate_models",
    "infer_gates",
    "narrowest_interval",
    "sample_models",
]
