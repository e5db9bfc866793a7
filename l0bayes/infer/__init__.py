"""The mean-field ELBO, its compiled form and the training loop."""

from l0bayes.infer.compiled import CompilationWarning, CompileMode, GradientStep
from l0bayes.infer.elbo import MONTE_CARLO, BoundELBO, ELBOTerms, MeanFieldELBO

__all__ = [
    "MONTE_CARLO",
    "BoundELBO",
    "CompilationWarning",
    "CompileMode",
    "ELBOTerms",
    "GradientStep",
    "MeanFieldELBO",
]
