r"""Plain networks of the demo: trained without gates, and measured side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from l0bayes.infer import Linear, Minibatches
from l0bayes.network import count_macs, network_times

if TYPE_CHECKING:
    import pandas as pd

    from l0bayes.datasets import Split

__all__ = ["compare_networks", "dense_network", "train_plain", "widths"]

_ROWS = 100


def dense_network() -> nn.Module:
    """The dense network, 64-300-100-10, with torch's own start."""
    return nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


def train_plain(net: nn.Module, batches: Minibatches, epochs: int, lr: float) -> float:
    """Train by Adam on the cross-entropy, at a rate that falls to a hundredth in the second half, as fits do.

    Args:
        net: The network, trained in place.
        batches: The training data.
        epochs: Passes over them.
        lr: Learning rate.

    Returns:
        The processor's time that it took, in seconds.
    """
    started = time.process_time()
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
    schedule, steps, done = Linear(1.0, 0.01, begin=0.5), epochs * len(batches), 0
    net.train()
    for epoch in range(epochs):
        for x, y in batches.epoch(epoch):
            optimizer.param_groups[0]["lr"] = lr * schedule(done / steps)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            done += 1
    net.eval()
    return time.process_time() - started


def compare_networks(
    repeats: Sequence[Mapping[str, nn.Module]], seconds: Sequence[Mapping[str, float]], data: Split
) -> pd.DataFrame:
    """One row a network: mean test error of the repeats, sizes and times.

    Args:
        repeats: Trained networks by name, once a repeat; sizes and times of a run are those of the first.
        seconds: The processor's time of their training; medians are shown.
        data: The data.

    Returns:
        Columns ``error``, ``widths``, ``MACs`` (multiply-accumulates of an image), ``params``,
        ``train, s``, and ``µs of 1`` and ``µs of 100`` images in one run.
    """
    import pandas as pd

    first = repeats[0]
    images = (data.test_x[:1], data.test_x[:_ROWS])
    times = [network_times(list(first.values()), (rows,)) for rows in images]
    rows = []
    for place, (name, net) in enumerate(first.items()):
        errors = [_error(one[name], data.test_x, data.test_y) for one in repeats]
        rows.append(
            {
                "network": name,
                "error": f"{statistics.mean(errors):.1%}",
                "widths": widths(net),
                "MACs": f"{int(count_macs(net, (data.test_x[:1],))):,}",
                "params": f"{sum(p.numel() for p in net.parameters()):,}",
                "train, s": f"{statistics.median(one[name] for one in seconds):.1f}",
                **{
                    f"µs of {len(batch)}": _microseconds(found[place])
                    for batch, found in zip(images, times, strict=True)
                },
            }
        )
    return pd.DataFrame(rows).set_index("network")


def widths(net: nn.Module) -> str:
    """Units of every layer, the inputs first.

    Args:
        net: The network.
    """
    shapes = [tuple(p.shape) for p in net.parameters() if p.ndim == 2]
    return "-".join(str(size) for size in [shapes[0][1], *(shape[0] for shape in shapes)])


@torch.no_grad()
def _error(net: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((net(x).argmax(-1) != y).double().mean())


def _microseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e6 * seconds:.0f}"
