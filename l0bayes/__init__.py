"""Bayesian sparse models in Pyro.

Spike-and-slab priors over weights, gate guides that make them differentiable, the L0 objective as an
ELBO, and gate posteriors in ArviZ. Everything heavy (ArviZ, pandas, scikit-learn, Matplotlib) is imported
when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from l0bayes import distributions, gate_families, guides, infer, models
from l0bayes.infer import (
    Fit,
    MeanFieldELBO,
    Minibatches,
    Target,
    fit,
    hardened_elbo,
    load_fit,
    pruning_forecast,
)
from l0bayes.sites import gate, slab, spike_and_slab

if TYPE_CHECKING:
    from l0bayes import (
        datasets,
        estimators,
        gradients,
        likelihoods,
        network,
        plots,
        posterior,
        runs,
        saved_selections,
        selection,
        testing,
    )
    from l0bayes.estimators import (
        SpikeSlabBinomial,
        SpikeSlabClassifier,
        SpikeSlabCountRegressor,
        SpikeSlabCox,
        SpikeSlabGLM,
        SpikeSlabPoissonRegressor,
        SpikeSlabRegressor,
        SpikeSlabRobustRegressor,
        select_from_moments,
    )
    from l0bayes.gradients import gradient_report
    from l0bayes.network.saved import load_deployed, save_deployed
    from l0bayes.posterior import gate_table
    from l0bayes.posterior.to_arviz import to_arviz
    from l0bayes.saved_selections import load_selection
    from l0bayes.selection.refine import refine
    from l0bayes.selection.trust.fit_trust import trust

__version__ = "0.2.0"

__all__ = [
    "Fit",
    "MeanFieldELBO",
    "Minibatches",
    "SpikeSlabBinomial",
    "SpikeSlabClassifier",
    "SpikeSlabCountRegressor",
    "SpikeSlabCox",
    "SpikeSlabGLM",
    "SpikeSlabPoissonRegressor",
    "SpikeSlabRegressor",
    "SpikeSlabRobustRegressor",
    "Target",
    "datasets",
    "distributions",
    "estimators",
    "fit",
    "gate",
    "gate_families",
    "gate_table",
    "gradient_report",
    "gradients",
    "guides",
    "hardened_elbo",
    "infer",
    "likelihoods",
    "load_deployed",
    "load_fit",
    "load_selection",
    "models",
    "network",
    "plots",
    "posterior",
    "pruning_forecast",
    "refine",
    "runs",
    "save_deployed",
    "saved_selections",
    "select_from_moments",
    "selection",
    "slab",
    "spike_and_slab",
    "testing",
    "to_arviz",
    "trust",
]

_LAZY_MODULES = (
    "datasets",
    "estimators",
    "gradients",
    "likelihoods",
    "network",
    "plots",
    "posterior",
    "runs",
    "saved_selections",
    "selection",
    "testing",
)
_LAZY_NAMES = {
    "SpikeSlabBinomial": "l0bayes.estimators",
    "SpikeSlabClassifier": "l0bayes.estimators",
    "SpikeSlabCountRegressor": "l0bayes.estimators",
    "SpikeSlabCox": "l0bayes.estimators",
    "SpikeSlabGLM": "l0bayes.estimators",
    "SpikeSlabPoissonRegressor": "l0bayes.estimators",
    "SpikeSlabRegressor": "l0bayes.estimators",
    "SpikeSlabRobustRegressor": "l0bayes.estimators",
    "gate_table": "l0bayes.posterior",
    "gradient_report": "l0bayes.gradients",
    "load_deployed": "l0bayes.network.saved",
    "load_selection": "l0bayes.saved_selections",
    "refine": "l0bayes.selection.refine",
    "save_deployed": "l0bayes.network.saved",
    "select_from_moments": "l0bayes.estimators",
    "to_arviz": "l0bayes.posterior",
    "trust": "l0bayes.selection.trust.fit_trust",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _LAZY_MODULES:
        return import_module(f"l0bayes.{name}")
    if name in _LAZY_NAMES:
        return getattr(import_module(_LAZY_NAMES[name]), name)
    raise AttributeError(f"module 'l0bayes' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
