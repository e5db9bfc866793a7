"""Train a candidate's gates on a network, deploy it, and count."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import l0bayes
from benchmarks.relaxations.settings import Candidate, NetworkSettings
from l0bayes.distributions import Gate, L0Penalty, L2Penalty
from l0bayes.guides import gate_guide
from l0bayes.infer import DivergenceError, Minibatches, Target
from l0bayes.models import SparseNetwork
from l0bayes.network import count_macs
from l0bayes.posterior import predict_probabilities

__all__ = ["run_network"]


def run_network(
    candidate: Candidate, settings: NetworkSettings, seed: int, net: nn.Module, data: Any, test: bool = True
) -> dict[str, Any]:
    """Train, deploy and score.

    Args:
        candidate: The candidate.
        settings: The settings of the part.
        seed: Seed of minibatches and gates.
        net: The dense network to start from.
        data: Training, validation and test examples.
        test: Whether to read the test set, at the end and once.

    Returns:
        Figures by name. Candidates with tied gates are trained without a target.
    """
    x, y = data.train_x[: settings.train_size], data.train_y[: settings.train_size]
    model = SparseNetwork(
        net,
        gates="input",
        inclusion=Gate(0.5) if candidate.tied else L0Penalty(0.0),
        slab=L2Penalty(settings.weight_decay),
        num_data=len(x),
        example=x[:2],
    )
    guide = gate_guide(
        model,
        (x[:2], y[:2]),
        gate_law=candidate.gate_law,
        slab="delta",
        init_active=settings.init_active,
        **candidate.options,
    )
    target = None if candidate.tied else replace(Target.parse(settings.target), ramp=settings.ramp)
    begun = time.process_time()
    try:
        fit = l0bayes.fit(
            model,
            guide,
            Minibatches(x, y, batch_size=settings.batch_size, seed=seed),
            epochs=settings.epochs,
            lr=settings.lr,
            gate_lr=settings.gate_lr,
            target=target,
            per_example_gates=candidate.per_example,
            sleep=settings.sleep,
            seed=seed,
            compile=settings.compile,
            progress=False,
        )
    except DivergenceError as error:
        return {"diverged": str(error)}
    cpu = time.process_time() - begun
    model.eval()
    with torch.no_grad():
        active = {site: law.prob_active for site, law in guide.gates().items()}
        expected = float(model.cost_share("macs", active))
    probabilities = torch.cat([value.flatten() for value in active.values()])
    small = model.deploy(guide)
    deployed = count_macs(small, (x[:2],)) / model.cost.dense["macs"]
    result: dict[str, Any] = {
        "validation_error": _error(small, data.valid_x, data.valid_y),
        "deployed_share": deployed,
        "expected_share": expected,
        "gap": expected - deployed,
        "undecided": float(((probabilities > 0.05) & (probabilities < 0.95)).double().mean()),
        "kept": float(probabilities.double().mean()),
        "seconds": fit.seconds,
        "cpu_seconds": cpu,
    }
    if test:
        result["test_error"] = _error(small, data.test_x, data.test_y)
        mean = predict_probabilities(
            (model, guide), data.test_x, how="posterior", num_draws=settings.draws, seed=seed
        )
        result["test_error_posterior"] = float((mean.argmax(-1) != data.test_y).double().mean())
    if candidate.tied:
        result["reason"] = "tied gates: no unit can close by itself, so there is no target"
    return result


@torch.no_grad()
def _error(net: nn.Module, x: Tensor, y: Tensor) -> float:
    guesses = torch.cat([net(rows).argmax(-1) for rows in x.split(1000)])
    return float((guesses != y).double().mean())
