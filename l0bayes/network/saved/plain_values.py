r"""Values of attributes and arguments as JSON holds them: plain data, and functions by names from a list."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

__all__ = ["NotPlainError", "decoded", "encoded"]

# torch's own layers keep an activation as a function; no other function can be named in a file.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    f"torch.nn.functional.{name}": getattr(functional, name)
    for name in ("relu", "relu6", "gelu", "silu", "elu", "selu", "celu", "mish", "softplus", "leaky_relu")
} | {
    "torch.relu": torch.relu,
    "torch.tanh": torch.tanh,
    "torch.sigmoid": torch.sigmoid,
}
_DTYPES = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
_LARGEST = 2**53  # what every reader of JSON holds exactly
_LONGEST = 100_000
_DEEPEST = 20


class NotPlainError(ValueError):
    """A value that is no plain data."""


def encoded(value: Any) -> Any:
    """A plain value for JSON: tuples are arrays, whatever JSON has no word for is an object of one entry.

    Args:
        value: Numbers, text, ``None``, tuples, lists and mappings of these, dtypes, activation functions.

    Raises:
        NotPlainError: If it is anything else.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) <= _LARGEST:
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):  # torch.Size among them
        return [encoded(one) for one in value]
    if type(value) is list:
        return {"list": [encoded(one) for one in value]}
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return {"dict": {key: encoded(one) for key, one in value.items()}}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value)}
    for name, function in _FUNCTIONS.items():
        if value is function:
            return {"function": name}
    raise NotPlainError(f"a {type(value).__name__}, which is no plain value")


def decoded(value: Any, depth: int = 0) -> Any:
    """The opposite of :func:`encoded`.

    Args:
        value: What JSON held.
        depth: How deep it stands in another one.

    Raises:
        NotPlainError: If it is nothing that :func:`encoded` returns.
    """
    if depth > _DEEPEST:
        raise NotPlainError(f"values in values, more than {_DEEPEST} deep")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        if abs(value) > _LARGEST and isinstance(value, int):
            raise NotPlainError(f"the number {value:.3g}")
        return value
    if isinstance(value, list):
        return tuple(_parts(value, depth))
    if isinstance(value, dict) and len(value) == 1:
        ((word, inside),) = value.items()
        if word == "list" and isinstance(inside, list):
            return _parts(inside, depth)
        if word == "dict" and isinstance(inside, dict):
            return dict(zip(inside, _parts(list(inside.values()), depth), strict=True))
        if word == "float" and inside in ("inf", "-inf", "nan"):
            return float(inside)
        if word == "dtype" and isinstance(inside, str) and inside in _DTYPES:
            return _DTYPES[inside]
        if word == "function" and isinstance(inside, str) and inside in _FUNCTIONS:
            return _FUNCTIONS[inside]
    raise NotPlainError(f"{str(value)[:60]!r}, which stands for no value that is known here")


def _parts(values: list[Any], depth: int) -> list[Any]:
    if len(values) > _LONGEST:
        raise NotPlainError(f"a list of {len(values)} entries")
    return [decoded(one, depth + 1) for one in values]
