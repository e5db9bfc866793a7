"""Which estimator goes with a likelihood."""

from __future__ import annotations

from typing import Any

from l0bayes.estimators.binomial import SpikeSlabBinomial
from l0bayes.estimators.classifier import SpikeSlabClassifier
from l0bayes.estimators.cox import SpikeSlabCox
from l0bayes.estimators.estimator_base import SpikeSlabEstimator
from l0bayes.estimators.glm import SpikeSlabGLM
from l0bayes.estimators.regressor import SpikeSlabRegressor
from l0bayes.estimators.robust import SpikeSlabRobustRegressor
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["estimator_for"]


def estimator_for(
    likelihood: Likelihood, noise_prior: Any = None, intercept: bool = True, **arguments: Any
) -> SpikeSlabEstimator:
    """An estimator of a response with this law.

    Args:
        likelihood: The law.
        noise_prior: Prior of the noise, of a response with noise; ``None`` for the estimator's default.
        intercept: Whether there is an intercept.
        **arguments: Arguments of the estimator, those that all have.

    Raises:
        ValueError: If the likelihood has an option that its estimator does not take, or no noise.
    """
    if noise_prior is not None and not likelihood.has_noise:
        raise ValueError(f"noise_prior is of likelihoods with noise; {likelihood.name!r} has none")
    chosen = {} if noise_prior is None else {"noise_prior": noise_prior}
    if likelihood.conjugate:
        known = likelihood.settings["noise_scale"]
        if {**likelihood.settings, "noise_scale": None} != type(likelihood)().settings:
            raise ValueError(
                f"of the {likelihood.name} likelihood only noise_scale can be set here; the prior of the "
                "noise is an argument of its own, noise_prior (l0bayes select: --noise-prior)"
            )
        return SpikeSlabRegressor(noise_scale=known, fit_intercept=intercept, **chosen, **arguments)
    if not likelihood.by_row:
        return SpikeSlabCox(**likelihood.settings, **arguments)
    if likelihood.has_noise:
        options = {name: likelihood.settings[name] for name in ("noise_scale", "df")}
        return SpikeSlabRobustRegressor(fit_intercept=intercept, **options, **chosen, **arguments)
    if likelihood.takes_trials:
        return SpikeSlabBinomial(fit_intercept=intercept, **arguments)
    if likelihood.has_classes:
        return SpikeSlabClassifier(likelihood=likelihood, fit_intercept=intercept, **arguments)
    return SpikeSlabGLM(likelihood, fit_intercept=intercept, **arguments)
