"""Variable selection: posteriors of gates in a linear predictor, exact and sampled. Knows no guide."""

from l0bayes.selection.engines.choose_engine import Engine, infer_gates
from l0bayes.selection.engines.exact_gaussian import enumerate_models
from l0bayes.selection.engines.gibbs_gaussian import GibbsOptions, sample_models
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.noise_prior import InverseGamma
from l0bayes.selection.problem.selection_posterior import ModelDraws, SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.summaries.coefficient_draws import Coefficients, narrowest_interval
from l0bayes.selection.summaries.coefficients import coefficients_of
from l0bayes.selection.trust.posterior_trust import Trust, TrustWarning

__all__ = [
    "Coefficients",
    "Engine",
    "GaussianProblem",
    "GeneralisedProblem",
    "GibbsOptions",
    "InclusionPrior",
    "InverseGamma",
    "ModelDraws",
    "SelectionPosterior",
    "SelectionProblem",
    "Trust",
    "TrustWarning",
    "coefficients_of",
    "enumerate_models",
    "infer_gates",
    "narrowest_interval",
    "sample_models",
]
