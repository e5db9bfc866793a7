r"""Checks before any training: bad data and unusable pairs are refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pyro
import torch
from torch import Tensor

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.randomness import private_randomness

__all__ = ["check_data", "first_batch", "preflight"]


def first_batch(data: Any) -> tuple[Any, ...]:
    """The model arguments of the first batch.

    Args:
        data: A tuple of arguments, one tensor, or an iterable of batches that can be iterated anew.

    Raises:
        ValueError: If there is no batch.
        TypeError: If ``data`` is none of these.
    """
    if isinstance(data, Tensor):
        return (data,)
    if isinstance(data, tuple):
        return data
    bare = isinstance(data, list) and any(isinstance(item, Tensor) for item in data)
    if bare or isinstance(data, dict | str) or not isinstance(data, Iterable):
        raise TypeError(
            "data must be a tuple of the model's arguments, a tensor, or a DataLoader of tuples; "
            f"got {'a list of tensors' if bare else type(data).__name__}"
        )
    if iter(data) is data:
        raise TypeError("data must be iterable more than once, as a DataLoader is; got a one-time iterator")
    for batch in data:
        return as_arguments(batch)
    raise ValueError("data is empty: the loader gave no batch")


def as_arguments(batch: Any) -> tuple[Any, ...]:
    """One batch of a loader as the model's positional arguments."""
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


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


def preflight(objective: BoundELBO, data: tuple[Any, ...]) -> None:
    """Run the objective once, with Pyro's validation on, so that errors come before training.

    Args:
        objective: The ELBO with its model and guide.
        data: Model arguments.

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
        terms = objective.elbo.terms(objective.model, objective.guide, *data)
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
