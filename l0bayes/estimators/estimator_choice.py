"""Which estimator goes with a likelihood."""

from __future__ import annotations

from typing import Any

from l0bayes.estimators.classifier import SpikeSlabClassifier
from l0bayes.estimators.estimator_base import SpikeSlabEstimator
from l0bayes.estimators.glm import SpikeSlabGLM
from l0bayes.estimators.regressor import SpikeSlabRegressor
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["estimator_for"]


def estimator_for(likelihood: Likelihood, noise_prior: Any = None, **arguments: Any) -> SpikeSlabEstimator:
    """An estimator of a response with this law.

    Args:
        likelihood: The law.
        noise_prior: Prior of the noise, of a Normal response; ``None`` for the estimator's default.
        **arguments: Arguments of the estimator, those that all have.

    Raises:
        ValueError: If the likelihood has an option that its estimator does not take, or no noise.
    """
    if noise_prior is not None and not likelihood.conjugate:
        raise ValueError(f"noise_prior is of the gaussian likelihood; {likelihood.name!r} has none")
    if likelihood.conjugate:
        known = likelihood.settings["noise_scale"]
        if {**likelihood.settings, "noise_scale": None} != type(likelihood)().settings:
            raise ValueError(
                f"of the {likelihood.name} likelihood only noise_scale can be set here; the prior of the "
                "noise is an argument of its own, noise_prior (l0bayes select: --noise-prior)"
            )
        chosen = {} if noise_prior is None else {"noise_prior": noise_prior}
        return SpikeSlabRegressor(noise_scale=known, **chosen, **arguments)
    if likelihood.has_classes:
        return SpikeSlabClassifier(likelihood=likelihood, **arguments)
    return SpikeSlabGLM(likelihood, **arguments)
