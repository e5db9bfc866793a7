r"""Checks before any training: bad data and unusable pairs are refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pyro
import torch
from torch import Tensor

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.randomness import private_randomness

__all__ = ["check_data", "preflight"]


def check_data(model: Callable[..., Any], data: tuple[Any, ...]) -> None:
    """Refuse arguments that are empty or hold NaN or infinity, by the argument's name.

    Args:
        model: The model, whose signature names the arguments.
        data: Its positional arguments.

    Raises:
        ValueError: If a tensor is empty or holds a value that is not finite.
        TypeError: If the arguments do not bind to the model's signature.
    """
    for name, value in _names(model, data):
        if not isinstance(value, Tensor):
            continue
        if value.numel() == 0:
            raise ValueError(f"{name} is empty: its shape is {tuple(value.shape)}")
        if value.is_floating_point() and not torch.isfinite(value).all():
            bad = ~torch.isfinite(value)
            where = tuple(torch.nonzero(bad)[0].tolist())
            raise ValueError(
                f"{name} holds {int(bad.sum())} values that are NaN or infinite, the first at index {where}"
            )


def _names(model: Callable[..., Any], data: tuple[Any, ...]) -> list[tuple[str, Any]]:
    target = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return [(f"argument {index}", value) for index, value in enumerate(data)]
    try:
        bound = signature.bind(*data)
    except TypeError as error:
        raise TypeError(f"data does not fit the model's signature {signature}: {error}") from error
    pairs: list[tuple[str, Any]] = []
    for name, value in bound.arguments.items():
        several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        pairs += [(f"{name}[{i}]", item) for i, item in enumerate(value)] if several else [(name, value)]
    return pairs


def preflight(objective: BoundELBO, data: tuple[Any, ...]) -> PairTraces:
    """Run guide and model once, with Pyro's validation on, so that errors come before training.

    Guides that make their parameters when they first run, as Pyro's own do, have them afterwards.

    Args:
        objective: The ELBO with its model and guide.
        data: Model arguments.

    Returns:
        What the run left, for whatever else is read off model and guide before training.

    Raises:
        ValueError: If the guide does not cover the model, if model or guide use ``pyro.param`` outside
            a module, or if the objective is not finite at the start.
        NotImplementedError: If a KL is missing.
    """
    store = pyro.get_param_store()
    with (
        private_randomness(),
        torch.no_grad(),
        pyro.validation_enabled(True),
        store.scope(),
        evaluating(objective),
    ):
        traces = objective.elbo.traces(objective.model, objective.guide, *data)
        terms = objective.elbo.terms_at(traces)
        owned = {id(parameter) for parameter in objective.parameters()}
        loose = sorted(name for name, value in store._params.items() if id(value) not in owned)
    if loose:
        raise ValueError(
            f"the parameters {loose} are made by pyro.param outside a module, where they cannot be trained "
            "by fit. Make them PyroParam attributes of a PyroModule, or train with pyro.infer.SVI and "
            "MeanFieldELBO()"
        )
    for what, value in (("log likelihood", terms.log_likelihood), ("KL", terms.total_kl)):
        if not torch.isfinite(torch.as_tensor(value)):
            raise ValueError(f"the {what} is {float(value)} at the start; check the data and the priors")
    return traces
