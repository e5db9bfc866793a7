"""Variable selection: posteriors of gates in a linear predictor, exact and sampled. It imports no guide."""

from l0bayes.selection.column_sources.any_source import column_source, register_source
from l0bayes.selection.column_sources.column_source import ColumnSource
from l0bayes.selection.engines.engine import Engine, Progress
from l0bayes.selection.engines.engine_registry import engine_names, register_engine
from l0bayes.selection.engines.exact import ExactDiagnostics, ExactOptions
from l0bayes.selection.engines.gibbs_records import GibbsDiagnostics, GibbsOptions
from l0bayes.selection.engines.infer_gates import infer_gates
from l0bayes.selection.engines.infer_wide import infer_wide
from l0bayes.selection.engines.svi_records import SVIDiagnostics, SVIOptions
from l0bayes.selection.problem.gate_restriction import GateRestriction
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.inclusion_prior import BetaBlocks, InclusionPrior
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.noise_prior import InverseGamma
from l0bayes.selection.problem.selection_posterior import Diagnostics, ModelDraws, SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.verdict import Trust, TrustWarning
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.slab_prior import GRule, SlabPrior, SlabSetting
from l0bayes.selection.slab_priors.slab_registry import register_slab_prior, slab_names
from l0bayes.selection.summaries.coefficient_draws import Coefficients, narrowest_interval
from l0bayes.selection.summaries.coefficients import coefficients_of
from l0bayes.selection.wide.wide_posterior import WidePosterior
from l0bayes.selection.wide.wide_problem import WideProblem
from l0bayes.selection.wide.wide_records import WideDiagnostics, WideOptions

__all__ = [
    "BetaBlocks",
    "Coefficients",
    "ColumnSource",
    "Diagnostics",
    "Engine",
    "ExactDiagnostics",
    "ExactOptions",
    "GRule",
    "GateRestriction",
    "GaussianProblem",
    "GeneralisedProblem",
    "GibbsDiagnostics",
    "GibbsOptions",
    "InclusionPrior",
    "InverseGamma",
    "LearnedProblem",
    "LearnedSlabProblem",
    "ModelDraws",
    "Progress",
    "SVIDiagnostics",
    "SVIOptions",
    "SelectionPosterior",
    "SelectionProblem",
    "SlabPrior",
    "SlabSetting",
    "Trust",
    "TrustWarning",
    "WideDiagnostics",
    "WideOptions",
    "WidePosterior",
    "WideProblem",
    "ZellnerProblem",
    "coefficients_of",
    "column_source",
    "engine_names",
    "infer_gates",
    "infer_wide",
    "narrowest_interval",
    "register_engine",
    "register_slab_prior",
    "register_source",
    "slab_names",
]
