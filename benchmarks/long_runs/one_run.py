"""One seed of a recipe: search, cut, train on; then what is left is trained on as a plain network."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import l0bayes
from benchmarks.long_runs.meter import Meter, plain_gradient
from benchmarks.long_runs.recipes import Recipe
from benchmarks.training import error_of
from benchmarks.training_networks import network, thin_network, widths_of
from l0bayes.apps.train import RunConfig
from l0bayes.apps.train.training_job import assemble, run_data, training_batches
from l0bayes.datasets import Split
from l0bayes.infer import Constant, Linear, Minibatches
from l0bayes.network import count_macs, count_nonzero, fresh_network

__all__ = ["run_rival", "run_seed", "scores_of", "training_data"]


def training_data(recipe: Recipe, images: int | None = None) -> Split:
    """The images of a recipe; by default all.

    Args:
        recipe: The recipe.
        images: Number of training images.
    """
    return run_data(_config(recipe, 0, images))


def scores_of(net: nn.Module, x: Tensor, y: Tensor, part: str) -> dict[str, float]:
    """Error in per cent, and mean negative log likelihood in nats.

    Args:
        net: The network.
        x: Images.
        y: Labels.
        part: What the images are, before the names of the scores.
    """
    with torch.no_grad():
        logits = net.eval()(x)
        error = 100.0 * float((logits.argmax(1) != y).float().mean())
        nll = float(nn.functional.cross_entropy(logits, y))
    return {f"{part}_error": round(error, 3), f"{part}_nll": round(nll, 5)}


def run_seed(recipe: Recipe, data: Split, seed: int, keep: Path) -> dict[str, Any]:
    """Train one seed, and keep its network in a folder. The test set is not read.

    Args:
        recipe: The recipe.
        data: Its data.
        seed: The seed.
        keep: The folder.
    """
    config = _config(recipe, seed, len(data.train_x))
    model, guide = assemble(config, data)
    batches = training_batches(config, data)
    dense = copy.deepcopy(model.net).requires_grad_(True)
    meter = Meter(dense, next(batches.epoch(0)), len(batches), stop_at_cut=recipe.stop_at_cut)
    meter.start()
    fit = l0bayes.fit(
        model,
        guide,
        batches,
        epochs=recipe.epochs,
        lr=recipe.lr,
        gate_lr=recipe.gate_lr,
        lr_schedule=Linear(1.0, 0.01, begin=0.5) if recipe.decay else Constant(1.0),
        target=recipe.target,
        shrink=recipe.shrink,
        search_share=recipe.search_share,
        per_example_gates=recipe.shrink,
        seed=seed,
        progress=False,
        callbacks=[meter],
    )
    small = model.deploy(guide)
    begun = error_of(small, data)
    if recipe.more_epochs:
        train_on(small, recipe, batches, meter)
    l0bayes.save_deployed(small, keep, example=data.train_x[:1], program=False, onnx=False)
    macs, params = count_macs(small, (data.train_x[:1],)), count_nonzero(small)
    return {
        "seed": seed,
        **scores_of(small, data.valid_x, data.valid_y, "validation"),
        "error_before_training_on": round(begun, 3),
        "macs": macs,
        "params": params,
        "macs_factor": meter.dense_macs / macs,
        "params_factor": sum(one.numel() for one in meter.dense.parameters()) / params,
        "widths": widths_of(small),
        "decided_at": None if fit.decision is None else fit.decision.step,
        **meter.result(),
    }


def run_rival(recipe: Recipe, data: Split, seed: int, epochs: int, rival: str, kept: Path) -> dict[str, Any]:
    """Train another network from scratch; it stays in a folder beside the one that is kept.

    Args:
        recipe: The recipe.
        data: Its data.
        seed: The seed.
        epochs: Number of epochs.
        rival: One of :data:`~benchmarks.long_runs.recipes.RIVALS`.
        kept: The folder of the network that the recipe found.
    """
    small, example = l0bayes.load_deployed(kept), data.train_x[:1]
    batches = training_batches(_config(recipe, seed, len(data.train_x)), data)
    torch.manual_seed(seed)
    net = {
        "dense": lambda: network(recipe.net),
        "found": lambda: fresh_network(small, seed),
        "thin": lambda: thin_network(recipe.net, count_macs(small, (example,)), example),
    }[rival]()
    meter = Meter(network(recipe.net), next(batches.epoch(0)), len(batches))
    meter.start()
    train_on(net, replace(recipe, more_epochs=epochs, gates=None), batches, meter)
    l0bayes.save_deployed(
        net, kept.with_name(f"{kept.name}-{rival}"), example=example, program=False, onnx=False
    )
    return {
        **scores_of(net, data.valid_x, data.valid_y, "validation"),
        "macs": count_macs(net, (example,)),
        "widths": widths_of(net),
        **{key: value for key, value in meter.result().items() if key != "epochs"},
    }


def train_on(net: nn.Module, recipe: Recipe, batches: Minibatches, meter: Meter) -> None:
    """Train the plain network on; weights that are 0 stay so.

    Args:
        net: The network.
        recipe: The recipe.
        batches: The batches, which go on after those of ``fit``.
        meter: Told of every step and epoch.
    """
    net.train().requires_grad_(True)
    held = [(parameter, parameter != 0) for parameter in net.parameters()] if recipe.gates else []
    optimizer = torch.optim.Adam(
        net.parameters(), recipe.more_lr, weight_decay=recipe.weight_decay / batches.num_data, fused=True
    )
    share = count_macs(net, (batches.tensors[0][:1],)) / meter.dense_macs
    done, steps = 0, recipe.more_epochs * len(batches)
    first = len(meter.epochs)
    for epoch in range(first, first + recipe.more_epochs):
        for x, y in batches.epoch(epoch):
            optimizer.param_groups[0]["lr"] = recipe.more_lr * 0.5 * (1.0 + math.cos(math.pi * done / steps))
            plain_gradient(net, optimizer, x, y)
            for parameter, mask in held:
                assert parameter.grad is not None
                parameter.grad.mul_(mask)
            optimizer.step()
            done += 1
            meter.stepped(done)
        meter.epoch_done(expected=share, deployed=share, run=share)


def _config(recipe: Recipe, seed: int, images: int | None) -> RunConfig:
    return RunConfig(
        net=recipe.net,
        gates=recipe.gates,
        dropout=recipe.dropout,
        input_dropout=recipe.input_dropout,
        weight_decay=recipe.weight_decay,
        init_active=recipe.init_active,
        batch_size=recipe.batch_size,
        shifts=recipe.shifts,
        train_size=images,
        seed=seed,
    )
