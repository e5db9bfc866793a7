"""From draws to ArviZ, tables and plots."""

from l0bayes.posterior.plots import plot_effects, plot_gate_map, plot_pips, plot_training
from l0bayes.posterior.predict import predict
from l0bayes.posterior.table import gate_table
from l0bayes.posterior.to_arviz import to_arviz

__all__ = ["gate_table", "plot_effects", "plot_gate_map", "plot_pips", "plot_training", "predict", "to_arviz"]
