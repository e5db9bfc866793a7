r"""Checks of arguments. Each error names the argument, what was given and what is accepted.

Arguments are given by their names, several at a time::

    validate.positive(lr=lr, gate_lr=gate_lr)
    validate.at_least(1, steps=steps, restarts=restarts)
    validate.positive(**validate.given(temperature=temperature))  # None: not given, nothing to check

Every check returns nothing and raises ``ValueError``, also for what is no number at all.
"""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "all_finite",
    "all_positive",
    "at_least",
    "given",
    "has_shape",
    "inside",
    "not_negative",
    "one_of",
    "positive",
    "positive_or_learned",
    "positive_pair",
    "squares_fit",
    "true_or_false",
]

T = TypeVar("T")


def given(**values: T | None) -> dict[str, T]:
    """The arguments that were given: those that are not ``None``.

    Args:
        **values: Values by the name of their argument.
    """
    return {name: value for name, value in values.items() if value is not None}


def positive(**values: float) -> None:
    """Numbers above zero, infinity left out.

    Args:
        **values: Values by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    for name, value in values.items():
        _check(name, value, lambda number: number > 0, "be positive")
        if value == math.inf:
            raise ValueError(f"{name} must be finite, got {value!r}")


def positive_or_learned(**values: float | Tensor | str) -> None:
    """Numbers above zero, infinity left out, or tensors of them, or the word ``"learned"``.

    Args:
        **values: Values by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    for name, value in values.items():
        if isinstance(value, str):
            if value != "learned":
                raise ValueError(f"{name} must be positive or 'learned', got {value!r}")
        elif isinstance(value, Tensor):
            if not bool((value > 0).all()):
                raise ValueError(f"{name} must be positive, got {value!r}")
            if bool((value == math.inf).any()):
                raise ValueError(f"{name} must be finite, got {value!r}")
        else:
            positive(**{name: value})


def positive_pair(**values: tuple[float, float]) -> None:
    """Pairs of numbers above zero, infinity left out.

    Args:
        **values: Values by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    for name, value in values.items():
        if not (len(value) == 2 and all(0 < part < math.inf for part in value)):
            raise ValueError(f"{name} as a pair must be two positive numbers (a, b), got {value!r}")


def not_negative(**values: float) -> None:
    """Numbers from zero on, infinity among them.

    Args:
        **values: Values by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    for name, value in values.items():
        _check(name, value, lambda number: number >= 0, "not be negative")


def at_least(least: int, /, **values: int) -> None:
    """Whole numbers from ``least`` on. ``True`` and ``2.0`` are none.

    Args:
        least: The smallest number that is accepted.
        **values: Values by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    for name, value in values.items():
        try:
            number = operator.index(value)
        except TypeError:
            number = None
        if number is None or isinstance(value, bool):
            raise ValueError(f"{name} must be a whole number, got {value!r}")
        if number < least:
            raise ValueError(f"{name} must be at least {least}, got {value!r}")


def inside(interval: str, /, **values: float) -> None:
    """Numbers in an interval.

    Args:
        interval: The interval as mathematicians write it: ``"(0, 1)"``, ``"[0, 1)"``; a round bracket leaves
            the end out.
        **values: Values by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = operator.gt if interval[0] == "(" else operator.ge
    below = operator.lt if interval[-1] == ")" else operator.le
    is_open = interval[0] == "(" and interval[-1] == ")"
    accepted = f"lie strictly between {low:g} and {high:g}" if is_open else f"lie in {interval}"
    for name, value in values.items():
        _check(name, value, lambda number: above(number, low) and below(number, high), accepted)


def one_of(choices: Iterable[str], more: str = "", /, **values: Any) -> None:
    """Names from a list. The error lists them all and the one that is nearest to what was given.

    Args:
        choices: What is accepted.
        more: What is accepted besides, as it follows the list in the error: ``" or a function"``.
        **values: Values by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    known = list(choices)
    for name, value in values.items():
        if isinstance(value, str) and value in known:
            continue
        near = difflib.get_close_matches(value, known, 1) if isinstance(value, str) else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {', '.join(known)}{more}; got {value!r}{hint}")


def true_or_false(**values: Any) -> None:
    """Switches. A word such as ``"no"``, which Python counts as true, is none, nor is a number.

    Args:
        **values: Values by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    for name, value in values.items():
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name} must be True or False, got {value!r}")


def all_finite(**tensors: Tensor) -> None:
    """Tensors without NaN and infinity. The error says where the first one stands.

    Args:
        **tensors: Tensors by the name of their argument.

    Raises:
        ValueError: By argument, row and column.
    """
    for name, tensor in tensors.items():
        _check_entries(name, tensor, torch.isfinite(tensor), "hold finite numbers; got")


def all_positive(**tensors: Tensor) -> None:
    """Tensors of numbers above zero, infinity among them. The error says where the first other one stands.

    Args:
        **tensors: Tensors by the name of their argument.

    Raises:
        ValueError: By argument, row and column.
    """
    for name, tensor in tensors.items():
        _check_entries(name, tensor, tensor > 0, "be positive, got")


def squares_fit(**tensors: Tensor) -> None:
    """Tensors whose sums of squares double precision holds: of 0 and of sizes between 1e-140 and 1e140.

    Args:
        **tensors: Tensors by the name of their argument, of shape ``(n,)`` or ``(n, p)``; every column must
            have a largest size within these bounds, or be 0.

    Raises:
        ValueError: By argument and column, with what to do.
    """
    for name, tensor in tensors.items():
        sizes = tensor.abs().amax(0) if len(tensor) else tensor.new_zeros(())
        bad = (sizes > 1e140) | ((sizes > 0) & (sizes < 1e-140))
        if not bool(bad.any()):
            continue
        where = tuple(bad.nonzero()[0].tolist())
        place = f" in column {where[0]}" if where else ""
        raise ValueError(
            f"{name} has numbers of size {float(sizes[where]):.3g}{place}, whose squares double precision "
            "does not hold: give it in other units, so that its sizes are between 1e-140 and 1e140"
        )


def has_shape(shape: tuple[int, ...], /, **tensors: Tensor) -> None:
    """Tensors of one shape.

    Args:
        shape: The shape that is accepted.
        **tensors: Tensors by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(tensor.shape)}")


def _check(name: str, value: Any, accepts: Callable[[Any], Any], accepted: str) -> None:
    try:
        good = bool(accepts(value))
    except (TypeError, ValueError, RuntimeError):  # text, None, arrays and tensors of several numbers
        raise ValueError(f"{name} must be a number and must {accepted}, got {value!r}") from None
    if not good:
        raise ValueError(f"{name} must {accepted}, got {value!r}")


def _check_entries(name: str, tensor: Tensor, good: Tensor, accepted: str) -> None:
    if bool(good.all()):
        return
    where = tuple((~good).nonzero()[0].tolist())
    named = ", ".join(f"{what} {index}" for what, index in zip(("row", "column"), where, strict=False))
    place = named if len(where) <= 2 else f"index {where}"
    raise ValueError(f"{name} must {accepted} {tensor[where].item()!r}" + (f" in {place}" if place else ""))
