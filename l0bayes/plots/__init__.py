"""Pictures, in one style, a file for each subject. Figures are made when something is drawn."""

from l0bayes.plots.calibration_curves import plot_entropy, plot_reliability
from l0bayes.plots.compared_pips import plot_compared_pips
from l0bayes.plots.gate_posteriors import plot_effects, plot_gate_map, plot_pips, plot_training
from l0bayes.plots.gradient_errors import plot_gradients
from l0bayes.plots.inclusion import plot_conditional_effects, plot_fdr, plot_inclusion
from l0bayes.plots.model_space import plot_joint_inclusion, plot_model_size, plot_top_models
from l0bayes.plots.row_check_plots import plot_predictive_check, plot_residuals
from l0bayes.plots.sensitivity_map import plot_sensitivity
from l0bayes.plots.simulated_calibration import plot_calibration
from l0bayes.plots.training_runs import plot_costs, plot_units

__all__ = [
    "plot_calibration",
    "plot_compared_pips",
    "plot_conditional_effects",
    "plot_costs",
    "plot_effects",
    "plot_entropy",
    "plot_fdr",
    "plot_gate_map",
    "plot_gradients",
    "plot_inclusion",
    "plot_joint_inclusion",
    "plot_model_size",
    "plot_pips",
    "plot_predictive_check",
    "plot_reliability",
    "plot_residuals",
    "plot_sensitivity",
    "plot_top_models",
    "plot_training",
    "plot_units",
]
