"""Variable selection: posteriors of gates in a linear predictor, exact and sampled. Knows no guide."""

from l0bayes.selection.coefficients import Coefficients, coefficients_of, narrowest_interval
from l0bayes.selection.engines import Engine, infer_gates
from l0bayes.selection.exact import enumerate_models
from l0bayes.selection.gibbs import GibbsOptions, sample_models
from l0bayes.selection.model_plots import plot_joint_inclusion, plot_model_size, plot_top_models
from l0bayes.selection.plots import plot_conditional_effects, plot_fdr, plot_inclusion
from l0bayes.selection.problem import InclusionPrior, InverseGamma, LinearProblem
from l0bayes.selection.result import ModelDraws, SelectionPosterior
from l0bayes.selection.trust import Trust, TrustWarning

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
    "plot_conditional_effects",
    "plot_fdr",
    "plot_inclusion",
    "plot_joint_inclusion",
    "plot_model_size",
    "plot_top_models",
    "sample_models",
]
