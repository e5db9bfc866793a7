"""Which estimator goes with a likelihood."""

from __future__ import annotations

from typing import Any

from l0bayes.estimators.classifier import SpikeSlabClassifier
from l0bayes.estimators.estimator_base import SpikeSlabEstimator
from l0bayes.estimators.glm import SpikeSlabGLM
from l0bayes.estimators.regressor import SpikeSlabRegressor
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["estimator_for"]


def estimator_for(likelihood: Likelihood, **arguments: Any) -> SpikeSlabEstimator:
    """An estimator of a response with this law.

    Args:
        likelihood: The law.
        **arguments: Arguments of the estimator, those that all have.

    Raises:
        ValueError: If the likelihood has an option that its estimator does not take.
    """
    if likelihood.conjugate:
        known = likelihood.settings["noise_scale"]
        if known is None and likelihood.settings != type(likelihood)().settings:
            raise ValueError(f"of the {likelihood.name} likelihood only noise_scale can be set here")
        return SpikeSlabRegressor(noise_scale=known, **arguments)
    if likelihood.has_classes:
        return SpikeSlabClassifier(likelihood=likelihood, **arguments)
    return SpikeSlabGLM(likelihood, **arguments)
