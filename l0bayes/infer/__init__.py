"""The mean-field ELBO, its compiled form and the training loop."""

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.decision import Decision
from l0bayes.infer.callbacks.history import History
from l0bayes.infer.callbacks.tensor_board import TensorBoard
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.guide_abilities import GateGuide
from l0bayes.infer.loop.batches import Minibatches
from l0bayes.infer.loop.checkpoint import CheckpointError, CheckpointWarning
from l0bayes.infer.loop.collapse import CollapseWarning
from l0bayes.infer.loop.deployment_check import DeploymentWarning
from l0bayes.infer.loop.divergence import DivergenceError
from l0bayes.infer.loop.early_stopping import EarlyStopping
from l0bayes.infer.loop.fit import fit
from l0bayes.infer.loop.fit_files import SavedFitError
from l0bayes.infer.loop.fit_keywords import FitKeywords
from l0bayes.infer.loop.fit_loading import load_fit
from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.loop.fit_settings import FitSettings
from l0bayes.infer.loop.history_file import HistoryFile, HistoryFileWarning
from l0bayes.infer.loop.restart_agreement import RestartWarning
from l0bayes.infer.loop.restart_result import Restart
from l0bayes.infer.loop.unobserved_model import UnobservedModelWarning
from l0bayes.infer.model_abilities import CostedModel, LiveModel
from l0bayes.infer.objectives.compiled import CompilationWarning, CompileMode, GradientStep
from l0bayes.infer.objectives.elbo import BoundELBO, MeanFieldELBO
from l0bayes.infer.objectives.gate_gradients import GATE_GRADIENT, RLOO, DisARM, GateGradient
from l0bayes.infer.objectives.hardened_elbo import HardenedELBO, hardened_elbo
from l0bayes.infer.objectives.objective import Objective, describe_objective
from l0bayes.infer.objectives.score_elbo import HELD, ScoreELBO, elbo_of
from l0bayes.infer.objectives.site_terms import MONTE_CARLO, ELBOTerms
from l0bayes.infer.objectives.stock_losses import StockLossWarning
from l0bayes.infer.ranks.ranks import RanksDisagreeError
from l0bayes.infer.schedules import Constant, Geometric, Linear, Schedule
from l0bayes.infer.targets.cost_registry import register_cost, registered_costs
from l0bayes.infer.targets.forecast import PruningForecast, PruningWarning, pruning_forecast
from l0bayes.infer.targets.gate_travel import SiteForecast
from l0bayes.infer.targets.target import Target
from l0bayes.infer.targets.target_elbo import TargetELBO
from l0bayes.infer.targets.target_steering import TargetWarning
from l0bayes.infer.trained_parameters import UntrainedParameterWarning

__all__ = [
    "GATE_GRADIENT",
    "HELD",
    "MONTE_CARLO",
    "RLOO",
    "BoundELBO",
    "Callback",
    "CheckpointError",
    "CheckpointWarning",
    "CollapseWarning",
    "CompilationWarning",
    "CompileMode",
    "Constant",
    "CostedModel",
    "Decision",
    "DeploymentWarning",
    "DisARM",
    "DivergenceError",
    "ELBOTerms",
    "EarlyStopping",
    "Fit",
    "FitKeywords",
    "FitSettings",
    "GateGradient",
    "GateGuide",
    "Geometric",
    "GradientStep",
    "HardenedELBO",
    "History",
    "HistoryFile",
    "HistoryFileWarning",
    "Linear",
    "LiveModel",
    "MeanFieldELBO",
    "Minibatches",
    "Objective",
    "PruningForecast",
    "PruningWarning",
    "RanksDisagreeError",
    "Record",
    "Restart",
    "RestartWarning",
    "SavedFitError",
    "Schedule",
    "ScoreELBO",
    "SiteForecast",
    "StockLossWarning",
    "Target",
    "TargetELBO",
    "TargetWarning",
    "TensorBoard",
    "TrainingRun",
    "UnobservedModelWarning",
    "UntrainedParameterWarning",
    "describe_objective",
    "elbo_of",
    "fit",
    "hardened_elbo",
    "load_fit",
    "pruning_forecast",
    "register_cost",
    "registered_costs",
]
