"""The mean-field ELBO, its compiled form and the training loop."""

from l0bayes.infer.loop.batches import Minibatches
from l0bayes.infer.loop.checkpoint import CheckpointError
from l0bayes.infer.loop.collapse import CollapseWarning
from l0bayes.infer.loop.early_stopping import EarlyStopping
from l0bayes.infer.loop.fit import fit
from l0bayes.infer.loop.fit_result import Fit, History, Restart
from l0bayes.infer.loop.training import DivergenceError
from l0bayes.infer.objectives.compiled import CompilationWarning, CompileMode, GradientStep
from l0bayes.infer.objectives.elbo import MONTE_CARLO, BoundELBO, ELBOTerms, MeanFieldELBO
from l0bayes.infer.objectives.gate_gradients import GATE_GRADIENT, RLOO, DisARM, GateGradient
from l0bayes.infer.objectives.hardened_elbo import HardenedELBO, hardened_elbo
from l0bayes.infer.objectives.objective import Objective, describe_objective
from l0bayes.infer.objectives.score_elbo import HELD, ScoreELBO, elbo_of
from l0bayes.infer.schedules import Constant, Geometric, Linear, Schedule
from l0bayes.infer.targets.costs import CostedModel
from l0bayes.infer.targets.forecast import PruningForecast, PruningWarning, SiteForecast, pruning_forecast
from l0bayes.infer.targets.target import Target, TargetELBO, TargetWarning

__all__ = [
    "GATE_GRADIENT",
    "HELD",
    "MONTE_CARLO",
    "RLOO",
    "BoundELBO",
    "CheckpointError",
    "CollapseWarning",
    "CompilationWarning",
    "CompileMode",
    "Constant",
    "CostedModel",
    "DisARM",
    "DivergenceError",
    "ELBOTerms",
    "EarlyStopping",
    "Fit",
    "GateGradient",
    "Geometric",
    "GradientStep",
    "HardenedELBO",
    "History",
    "Linear",
    "MeanFieldELBO",
    "Minibatches",
    "Objective",
    "PruningForecast",
    "PruningWarning",
    "Restart",
    "Schedule",
    "ScoreELBO",
    "SiteForecast",
    "Target",
    "TargetELBO",
    "TargetWarning",
    "describe_objective",
    "elbo_of",
    "fit",
    "hardened_elbo",
    "pruning_forecast",
]
