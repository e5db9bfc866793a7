"""Training runs of sparse networks that leave everything in a folder."""

from l0bayes.runs.architectures import ARCHITECTURES, build_network
from l0bayes.runs.config import RunConfig
from l0bayes.runs.pictures import plot_costs, plot_units
from l0bayes.runs.run import Run, load_run
from l0bayes.runs.train import score_test, train_network

__all__ = [
    "ARCHITECTURES",
    "Run",
    "RunConfig",
    "build_network",
    "load_run",
    "plot_costs",
    "plot_units",
    "score_test",
    "train_network",
]
