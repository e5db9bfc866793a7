"""Training runs by their settings, and the folders that they leave: the Python side of ``l0bayes train``."""

from l0bayes.apps.train import (
    ARCHITECTURES,
    Run,
    RunConfig,
    build_network,
    load_run,
    score_test,
    train_network,
)

__all__ = ["ARCHITECTURES", "Run", "RunConfig", "build_network", "load_run", "score_test", "train_network"]
