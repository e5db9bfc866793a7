r"""Honest rivals of a run: the dense network and small ones, from scratch, as long, on the same data."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from l0bayes.apps.train.baseline_words import BASELINES
from l0bayes.apps.train.run_config import RunConfig
from l0bayes.infer import Linear
from l0bayes.infer.randomness import private_randomness
from l0bayes.network import (
    count_macs,
    count_nonzero,
    fresh_network,
    nearest_kind,
    network_times,
    thin_network,
)
from l0bayes.posterior import prediction_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from l0bayes.datasets import Split
    from l0bayes.infer import Minibatches

__all__ = ["baseline_networks", "compare_baselines", "score_network", "train_plain"]

_BATCH_SIZES = (1, 100)


def train_plain(net: nn.Module, config: RunConfig, batches: Minibatches) -> float:
    """Train a plain network as a run's settings say, without gates.

    By Adam at the rate of the weights, on the mean cross-entropy, with the L2 penalty of the run's points.

    Args:
        net: The network, trained in place.
        config: Settings of the run.
        batches: Its minibatches.

    Returns:
        The processor's time that it took in seconds.
    """
    started = time.process_time()
    slabs: set[int] = set()
    for module in net.modules():
        kind = nearest_kind(module)
        if kind is not None and kind.slabs:
            slabs.update(id(p) for p in module.parameters(recurse=False))
    decay = config.weight_decay / batches.num_data if config.slab == "delta" else 0.0
    groups: list[dict[str, Any]] = [
        {
            "params": [p for p in net.parameters() if p.requires_grad and id(p) in slabs],
            "weight_decay": decay,
        },
        {"params": [p for p in net.parameters() if p.requires_grad and id(p) not in slabs]},
    ]
    optimizer = torch.optim.Adam([one for one in groups if one["params"]], lr=config.lr, fused=True)
    schedule, steps, done = Linear(1.0, 0.01, begin=config.decay_from), config.epochs * len(batches), 0
    net.train()
    with private_randomness(config.seed):  # of dropout
        for epoch in range(config.epochs):
            for x, y in batches.epoch(epoch):
                for group in optimizer.param_groups:
                    group["lr"] = config.lr * schedule(done / steps)
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x), y).backward()
                optimizer.step()
                done += 1
    net.eval()
    return time.process_time() - started


def baseline_networks(model: Any, small: nn.Module, dense: nn.Module, seed: int) -> dict[str, nn.Module]:
    """The rivals of a deployed network, before training.

    Args:
        model: The sparse network.
        small: The deployed network.
        dense: The dense network, untrained.
        seed: Seed of their weights.

    Returns:
        ``"dense"``, ``"scratch"`` (the deployed architecture) and, where gates are on units, ``"thin"``: the
        dense network with all gated layers narrowed alike to the multiply-accumulates of the deployed one.
    """
    found = {"dense": dense, "scratch": fresh_network(small, seed, dense)}
    thin = thin_network(model.net, model.plan, model.cost, count_macs(small, model.example))
    if thin is not None:
        found["thin"] = fresh_network(thin, seed, dense)
    return found


def compare_baselines(
    nets: Mapping[str, nn.Module],
    small: nn.Module,
    config: RunConfig,
    data: Split,
    batches: Minibatches,
    *,
    seconds: float | None,
    test: bool,
) -> dict[str, dict[str, Any]]:
    """Train the rivals and measure them beside the deployed network.

    Args:
        nets: From :func:`baseline_networks`; trained in place.
        small: The deployed network.
        config: Settings of the run.
        data: Its data.
        batches: Its minibatches.
        seconds: The processor's time from the dense network to the deployed one; ``None`` where not known.
        test: Whether to read the test set.

    Returns:
        By name of the network: scores, multiply-accumulates, parameters and those that are not 0, the
        processor's time of training in seconds, and the time of a run in milliseconds by batch size.
    """
    spent: dict[str, float | None] = {}
    for name, net in nets.items():
        spent[name] = train_plain(net, config, batches)
    everything = {name: nets[name] for name in BASELINES if name in nets} | {"deployed": small}
    spent["deployed"] = seconds
    rows = {str(size): _first_rows(data.train_x, size) for size in _BATCH_SIZES}
    times = {size: network_times(list(everything.values()), (x,)) for size, x in rows.items()}
    parts = ("validation", "test") if test else ("validation",)
    found: dict[str, dict[str, Any]] = {}
    for place, (name, net) in enumerate(everything.items()):
        found[name] = {
            "scores": {part: score_network(net, data, part) for part in parts},
            "macs": count_macs(net, (data.train_x[:2],)),
            "parameters": sum(p.numel() for p in net.parameters()),
            "nonzero": count_nonzero(net),
            "seconds": spent[name],
            "latency_ms": {
                size: None if (taken := found_times[place]) is None else 1e3 * taken
                for size, found_times in times.items()
            },
        }
    return found


def _first_rows(x: Tensor, size: int) -> Tensor:
    return x[torch.arange(size) % len(x)]


@torch.no_grad()
def score_network(net: nn.Module, data: Split, part: str) -> dict[str, Any]:
    """Accuracy and other scores of a plain network.

    Args:
        net: The network, in evaluation mode.
        data: The data.
        part: ``"validation"`` or ``"test"``.
    """
    x, y = (data.test_x, data.test_y) if part == "test" else (data.valid_x, data.valid_y)
    probabilities = torch.cat([net(rows).softmax(-1) for rows in x.split(500)])
    return asdict(prediction_scores(probabilities, y))
