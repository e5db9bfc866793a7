"""Part c: LeNet-300-100 on MNIST with gates on units, in short runs."""

from __future__ import annotations

import functools
from typing import Any

from benchmarks.relaxations.networks import run_network
from benchmarks.relaxations.settings import Candidate, NetworkSettings
from l0bayes import datasets
from l0bayes.infer.randomness import private_randomness
from l0bayes.models import LeNet300100

__all__ = ["run_mnist"]


def run_mnist(
    candidate: Candidate, settings: NetworkSettings, seed: int, test: bool = True
) -> dict[str, Any]:
    """Train one candidate from a random start.

    Args:
        candidate: The candidate.
        settings: The settings of this part.
        seed: Seed of the start and of the run.
        test: Whether to read the test set.
    """
    with private_randomness(seed):
        net = LeNet300100()
    return run_network(candidate, settings, seed, net, _data(), test)


@functools.lru_cache(maxsize=1)
def _data() -> Any:
    return datasets.mnist()
