"""What is killed: a network whose units are taken out while it trains, and a regression with restarts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import History, Minibatches
from l0bayes.models import SparseNetwork
from l0bayes.sites import spike_and_slab

__all__ = ["RUNS"]


def cut_network(folder: Path) -> dict[str, str]:
    """A network with dropout, cut after a quarter of its steps.

    Args:
        folder: Where its checkpoint is.

    Returns:
        Checksums of all that the run leaves, by name.
    """
    torch.manual_seed(0)
    x = torch.randn(512, 40)
    y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).long()
    net = nn.Sequential(
        nn.Linear(40, 300), nn.ReLU(), nn.Dropout(0.1), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 2)
    )
    model = SparseNetwork(net, num_data=512)
    guide = AutoHardConcrete(model, (x[:2], y[:2]))
    found = l0bayes.fit(
        model,
        guide,
        Minibatches(x, y, batch_size=64, seed=1),
        steps=400,
        target="macs:0.2",
        shrink=True,
        per_example_gates=True,
        log_every=5,
        checkpoint=folder / "run.ckpt",
        checkpoint_every=0.0,
        resume=True,
        progress=False,
        seed=3,
    )
    assert found.decision is not None
    told = _checksums(folder, found.history, [model, guide, model.deploy(guide)])
    return {"decided": str(found.decision.step), **told}


def restarted_regression(folder: Path) -> dict[str, str]:
    """Three starts of a regression on minibatches, of which the best is kept.

    Args:
        folder: Where its checkpoint is.

    Returns:
        Checksums of all that the run leaves, by name.
    """
    pyro.clear_param_store()
    torch.manual_seed(1)
    x = torch.randn(256, 30)
    y = x[:, 0] - x[:, 4] + 0.3 * torch.randn(256)

    def model(x: Tensor, y: Tensor) -> None:
        beta = spike_and_slab("beta", 0.2, dist.Normal(0.0, 1.0).expand([30]).to_event(1))
        with pyro.plate("rows", 256, subsample_size=len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 0.3), obs=y)

    guide = AutoHardConcrete(model, (x[:2], y[:2]))
    found = l0bayes.fit(
        model,
        guide,
        Minibatches(x, y, batch_size=64, seed=1),
        steps=300,
        restarts=3,
        log_every=5,
        checkpoint=folder / "run.ckpt",
        checkpoint_every=0.0,
        resume=True,
        progress=False,
        seed=3,
    )
    return _checksums(folder, found.history, [guide])


RUNS: dict[str, Callable[[Path], dict[str, str]]] = {
    "network, cut": cut_network,
    "regression, restarts": restarted_regression,
}
"""What is killed, by name."""


def _checksums(folder: Path, history: History, modules: list[nn.Module]) -> dict[str, str]:
    told: dict[str, Any] = {
        "history on disk": (folder / "run.ckpt.jsonl").read_bytes(),
        "history": json.dumps(asdict(history)).encode(),
        "randomness": torch.get_rng_state().numpy().tobytes(),
    }
    for index, module in enumerate(modules):
        state = sorted(module.state_dict().items())
        told[f"module {index}"] = b"".join(
            name.encode() + value.numpy().tobytes() for name, value in state if isinstance(value, Tensor)
        )
    return {name: hashlib.sha256(value).hexdigest() for name, value in told.items()}
