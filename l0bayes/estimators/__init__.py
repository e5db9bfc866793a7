"""Spike-and-slab regression with scikit-learn's habits: which columns matter, how sure is that."""

from l0bayes.optional_packages import needed_for

with needed_for("An estimator"):
    from l0bayes.estimators.binomial import SpikeSlabBinomial
    from l0bayes.estimators.classifier import SpikeSlabClassifier
    from l0bayes.estimators.counts import SpikeSlabCountRegressor
    from l0bayes.estimators.cox import SpikeSlabCox
    from l0bayes.estimators.estimator_base import SpikeSlabEstimator
    from l0bayes.estimators.glm import SpikeSlabGLM
    from l0bayes.estimators.moment_data import MomentRegressor, select_from_moments
    from l0bayes.estimators.original_scale import OriginalScalePosterior
    from l0bayes.estimators.poisson import SpikeSlabPoissonRegressor
    from l0bayes.estimators.regressor import SpikeSlabRegressor
    from l0bayes.estimators.robust import SpikeSlabRobustRegressor
    from l0bayes.estimators.separating_columns import SeparationWarning
    from l0bayes.selection.trust.likelihood_fit import LikelihoodWarning

__all__ = [
    "LikelihoodWarning",
    "MomentRegressor",
    "OriginalScalePosterior",
    "SeparationWarning",
    "SpikeSlabBinomial",
    "SpikeSlabClassifier",
    "SpikeSlabCountRegressor",
    "SpikeSlabCox",
    "SpikeSlabEstimator",
    "SpikeSlabGLM",
    "SpikeSlabPoissonRegressor",
    "SpikeSlabRegressor",
    "SpikeSlabRobustRegressor",
    "select_from_moments",
]
