"""The mean-field ELBO, its compiled form and the training loop."""

from l0bayes.infer.batches import Minibatches
from l0bayes.infer.checkpoint import CheckpointError
from l0bayes.infer.collapse import CollapseWarning
from l0bayes.infer.compiled import CompilationWarning, CompileMode, GradientStep
from l0bayes.infer.costs import CostedModel
from l0bayes.infer.early_stopping import EarlyStopping
from l0bayes.infer.elbo import MONTE_CARLO, BoundELBO, ELBOTerms, MeanFieldELBO
from l0bayes.infer.fit import fit
from l0bayes.infer.forecast import PruningForecast, PruningWarning, SiteForecast, pruning_forecast
from l0bayes.infer.gate_gradients import GATE_GRADIENT, RLOO, DisARM, GateGradient
from l0bayes.infer.hardened import HardenedELBO, hardened_elbo
from l0bayes.infer.objective import Objective, describe_objective
from l0bayes.infer.result import Fit, History, Restart
from l0bayes.infer.schedules import Constant, Geometric, Linear, Schedule
from l0bayes.infer.score_elbo import HELD, ScoreELBO, elbo_of
from l0bayes.infer.target import Target, TargetELBO, TargetWarning
from l0bayes.infer.training import DivergenceError

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
