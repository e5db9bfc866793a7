"""From draws to ArviZ, tables and plots."""

from l0bayes.posterior.table import gate_table
from l0bayes.posterior.to_arviz import to_arviz

__all__ = ["gate_table", "to_arviz"]
