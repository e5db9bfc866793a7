"""Training runs of sparse networks that leave everything in a folder."""

from l0bayes.apps.train.architectures import ARCHITECTURES, build_network
from l0bayes.apps.train.certificate_words import certificate_lines, size_lines
from l0bayes.apps.train.run_config import RunConfig
from l0bayes.apps.train.run_folder import Run, load_run
from l0bayes.apps.train.training_job import score_test, train_network

__all__ = [
    "ARCHITECTURES",
    "Run",
    "RunConfig",
    "build_network",
    "certificate_lines",
    "load_run",
    "score_test",
    "size_lines",
    "train_network",
]
