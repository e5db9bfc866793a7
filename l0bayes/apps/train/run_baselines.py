r"""The rivals of a run, in its folder: trained, measured, and read again for the test set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from l0bayes.apps.train.baselines import baseline_networks, compare_baselines, score_network
from l0bayes.files import read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import nn

    from l0bayes.apps.train.run_folder import Run
    from l0bayes.datasets import Split
    from l0bayes.infer import Minibatches

__all__ = ["add_baselines", "score_baselines"]

_WEIGHTS = "baselines.safetensors"


def add_baselines(
    run: Run,
    model: Any,
    dense: nn.Module,
    data: Split,
    batches: Minibatches,
    *,
    seconds: float | None,
    test: bool,
) -> None:
    """Train the rivals of a finished run; their rows go into its results, their weights into its folder.

    Args:
        run: The run, made in this process.
        model: Its sparse network.
        dense: The dense network, untrained.
        data: Its data.
        batches: Its minibatches.
        seconds: The processor's time from the dense network to the deployed one; ``None`` where not known.
        test: Whether to read the test set.
    """
    nets = baseline_networks(model, run.deployed, dense, run.config.seed)
    run.results["baselines"] = compare_baselines(
        nets, run.deployed, run.config, data, batches, seconds=seconds, test=test
    )
    states = {f"{name}/{key}": v for name, net in nets.items() for key, v in net.state_dict().items()}
    write_tensors(states, run.folder / _WEIGHTS)
    (run.folder / "scores.json").write_text(json.dumps(run.results, indent=2) + "\n")


def score_baselines(run: Run, model: Any, dense: nn.Module, data: Split) -> None:
    """Read the test set for the rivals of a run, where it has any.

    Args:
        run: The run, its deployed network loaded.
        model: Its sparse network.
        dense: The dense network, untrained.
        data: Its data.
    """
    rows = run.results.get("baselines", {})
    if not rows:
        return
    nets = baseline_networks(model, run.deployed, dense, run.config.seed)
    states = read_tensors(run.folder / _WEIGHTS)
    for name, net in nets.items():
        own = {key.partition("/")[2]: v for key, v in states.items() if key.startswith(f"{name}/")}
        net.load_state_dict(own)
    for name, net in [*nets.items(), ("deployed", run.deployed)]:
        rows[name]["scores"]["test"] = score_network(net.eval(), data, "test")
