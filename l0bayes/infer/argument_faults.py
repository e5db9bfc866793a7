"""What may be wrong with the arguments of a model, in words: what was given, what is accepted, what to do."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.model_arguments import ModelArguments

__all__ = ["argument_fault", "named_arguments", "not_finite", "not_tensor"]

_PRECISION = re.compile(
    r"dtype|data type|scalar type|result type|should be the same|not implemented for|floating point", re.I
)
_SHAPE = re.compile(r"shape|size|channel|dimension|expected \dD|expected input|same number of", re.I)
_VALUES = re.compile(r"invalid values|to satisfy the constraint|support|nan\b", re.I)


def named_arguments(model: Callable[..., Any], data: ModelArguments) -> list[tuple[str, Any]]:
    """The arguments of a model with the names that its signature gives them.

    Args:
        model: The model.
        data: Its arguments.

    Raises:
        TypeError: If they do not bind to the signature.
    """
    target = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return [*((f"argument {i}", value) for i, value in enumerate(data.args)), *data.kwargs.items()]
    try:
        bound = data.call(signature.bind)
    except TypeError as error:
        raise TypeError(f"data does not fit the model's signature {signature}: {error}") from error
    pairs: list[tuple[str, Any]] = []
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            pairs += [(f"{name}[{i}]", item) for i, item in enumerate(value)]
        else:
            pairs += value.items() if kind is inspect.Parameter.VAR_KEYWORD else [(name, value)]
    return pairs


def not_finite(name: str, value: Any) -> str | None:
    """What is to be said of a tensor with values that are not finite.

    Args:
        name: Its name.
        value: The argument.
    """
    if not isinstance(value, Tensor) or not value.is_floating_point() or bool(torch.isfinite(value).all()):
        return None
    bad = ~torch.isfinite(value)
    where = tuple(torch.nonzero(bad)[0].tolist())
    return f"{name} holds {int(bad.sum())} values that are NaN or infinite, the first at index {where}"


def not_tensor(name: str, value: Any) -> str | None:
    """What is to be said of data that are no tensor: what to give instead.

    Args:
        name: Its name.
        value: The argument.
    """
    kind, package = type(value).__name__, type(value).__module__.partition(".")[0]
    code = "..." if " " in name else name
    if isinstance(value, DataLoader) or (package == "l0bayes" and kind == "Minibatches"):
        return (
            f"{name} is a {kind}, and a model or guide takes one batch: next(iter(loader)); l0bayes.fit "
            "takes the loader itself"
        )
    if isinstance(value, Dataset):
        return (
            f"{name} is a {kind}: l0bayes.fit takes a loader of it, DataLoader(dataset, batch_size=...), a "
            "model or guide one batch, next(iter(loader))"
        )
    if package == "numpy" and kind == "ndarray":
        return f"{name} is a NumPy array; give a tensor, {_made(code, value)}"
    if package in ("pandas", "polars"):
        return f"{name} is a {package} {kind}; give a tensor, {_made(f'{code}.to_numpy()', value)}"
    if isinstance(value, list | tuple) and _of_numbers(value):
        return f"{name} is a {kind} of numbers; give a tensor, torch.tensor({code})"
    return None


def _made(name: str, value: Any) -> str:
    whole = str(getattr(value, "dtype", "")).lower().startswith(("int", "uint", "bool"))
    return f"torch.as_tensor({name})" if whole else f"torch.as_tensor({name}, dtype=torch.float32)"


def _of_numbers(value: Any) -> bool:
    while isinstance(value, list | tuple) and len(value):
        value = value[0]
    return isinstance(value, int | float) and not isinstance(value, bool)


def argument_fault(error: Exception, model: Callable[..., Any], data: ModelArguments) -> Exception | None:
    """What is wrong with the arguments of a model that failed on them, as an error; ``None`` if unknown.

    Args:
        error: What torch, Pyro, or Python itself said.
        model: The model.
        data: Its arguments.
    """
    try:
        given = [*_leaves(named_arguments(model, data))]
    except TypeError:
        return None
    text = str(error)
    kind: type[Exception] = TypeError
    foreign = [words for name, value in given if (words := _foreign(name, value, error))]
    found: str | None = "; ".join(foreign) or None
    tensors = [(name, value) for name, value in given if isinstance(value, Tensor)]
    if found is None:
        kind = ValueError
        if _VALUES.search(text):
            found = next((words for name, value in tensors if (words := not_finite(name, value))), None)
    if found is None and _PRECISION.search(text):
        found = _precision(tensors, model, text)
    if found is None and _SHAPE.search(text):
        found = _shape(tensors, model)
    if found is None:
        return None
    return kind(f"{found}. The model could not be run: {type(error).__name__}: {_first_line(text)}")


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 200 else line[:200] + " ..."


def _leaves(named: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, value in named:
        if isinstance(value, Mapping):
            yield from _leaves([(f"{name}[{key!r}]", item) for key, item in value.items()])
        elif isinstance(value, list | tuple) and not _of_numbers(value):
            yield from _leaves([(f"{name}[{i}]", item) for i, item in enumerate(value)])
        else:
            yield name, value


def _foreign(name: str, value: Any, error: Exception) -> str | None:
    """Data that are no tensor, where the error is of that, and not of what a model makes of them."""
    words = not_tensor(name, value)
    if words is None:
        return None
    said = str(error).lower()
    named = any(word in said for word in (type(value).__name__.lower(), "tensor", "numpy"))
    own = isinstance(value, list | tuple | Dataset | DataLoader) and isinstance(
        error, TypeError | AttributeError
    )
    return words if named or own else None


def _precision(tensors: list[tuple[str, Tensor]], model: Any, text: str) -> str | None:
    module = isinstance(model, torch.nn.Module)
    kinds = [one.dtype for one in model.parameters() if one.is_floating_point()] if module else []
    wanted = kinds[0] if kinds else torch.get_default_dtype()
    cast = {torch.float32: ".float()", torch.float64: ".double()"}.get(wanted, f".to({wanted})")
    for name, value in tensors:
        if value.dtype == torch.bool and "bool" in text.lower():
            return f"{name} is bool: give {name}{cast}, or as class labels {name}.long()"
    for name, value in tensors:
        if value.is_floating_point() and "indices" in text:
            return f"{name} is {value.dtype}, where an embedding takes whole numbers: give {name}.long()"
    other = [(name, value.dtype) for name, value in tensors if value.is_floating_point()]
    other = [(name, dtype) for name, dtype in other if dtype != wanted]
    if other:
        dtype = other[0][1]
        instead = (
            f"a network of that precision, net.to({dtype})"
            if kinds
            else f"call torch.set_default_dtype({dtype}) before model and guide are made"
        )
        given = " and ".join(f"{name}{cast}" for name, _ in other)
        return f"{other[0][0]} is {dtype} and the model computes in {wanted}: give {given}, or {instead}"
    for name, value in tensors:
        if not value.is_floating_point() and not value.is_complex():
            image = f", {name}{cast} / 255 for images" if value.dtype == torch.uint8 else ""
            return f"{name} is {value.dtype} and the model computes in {wanted}: give {name}{cast}{image}"
    return None


def _shape(tensors: list[tuple[str, Tensor]], model: Any) -> str | None:
    """Inputs that are not of the shape that a network was laid out for."""
    laid_out = ModelAbilities(model).example_shapes
    for (name, value), example in zip(tensors, laid_out, strict=False):
        given, wanted = tuple(value.shape), example[1:]
        if given[1:] == wanted:
            continue
        rows = ", ".join(map(str, ("n", *wanted)))
        said = f"{name} has shape {given}, and the network was laid out for ({rows})"
        return said + _reshaped(name, given, wanted)
    return None


def _reshaped(name: str, given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    dim = len(given)
    if dim == len(wanted) + 1 and dim > 2 and given[1] != wanted[0] and given[-1] == wanted[0]:
        order = (0, dim - 1, *range(1, dim - 1))
        layout = "(N, C, H, W), with channels second" if dim == 4 else "channels second"
        return f"; its channels stand last: give {layout}, {name}.permute{order}"
    if given == wanted:
        return f"; it is one row: give {name}[None]"
    if wanted[:1] == (1,) and given[1:] == wanted[1:]:
        return f"; give {name}[:, None]"
    if len(wanted) == 1 and dim > 2 and torch.Size(given[1:]).numel() == wanted[0]:
        return f"; give {name}.flatten(1)"
    return ""
