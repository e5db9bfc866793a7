"""Part b: the demo's 64-300-100-10 network on scikit-learn's digits."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

from benchmarks.relaxations.networks import run_network
from benchmarks.relaxations.settings import Candidate, NetworkSettings
from l0bayes import datasets
from l0bayes.infer import Minibatches
from l0bayes.infer.randomness import private_randomness

__all__ = ["run_digits"]


def run_digits(
    candidate: Candidate, settings: NetworkSettings, seed: int, test: bool = True
) -> dict[str, Any]:
    """Train one candidate from a dense network, with one split of the data.

    Args:
        candidate: The candidate.
        settings: The settings of this part.
        seed: Seed of the split, the dense network and the run.
        test: Whether to read the test set.
    """
    net, data = _start(seed, settings)
    return run_network(candidate, settings, seed, net, data, test)


@functools.lru_cache(maxsize=1)
def _start(seed: int, settings: NetworkSettings) -> tuple[nn.Module, Any]:
    """The split, and the dense network trained on it."""
    data = datasets.digits(seed)
    with private_randomness(seed):
        net = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    batches = Minibatches(data.train_x, data.train_y, batch_size=settings.batch_size, seed=seed)
    for _ in range(settings.dense_epochs):
        for x, y in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    return net, data
