"""The first run of a model: what torch and Pyro say of data they cannot take, in words."""

from __future__ import annotations

import dis
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from l0bayes.infer.argument_faults import argument_fault
from l0bayes.infer.model_arguments import ModelArguments, names_as_keys

__all__ = ["explained_run"]

_TWICE = re.compile(r"Multiple \w+ sites named '(.+?)'")
_LIBRARIES = frozenset({"torch", "pyro", "numpy", "pandas", "polars"})
_RAISE = dis.opmap["RAISE_VARARGS"]


@contextmanager
def explained_run(
    model: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Run a model for the first time; where that fails, say what is wrong with its arguments or sites.

    What this library or the user's own code raised in words of its own is passed on, without the table of
    shapes that Pyro puts behind it. An error that nothing is known of is passed on as it is.

    Args:
        model: The model.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        TypeError: If data are no tensors, or a dictionary of the model's arguments by name.
        ValueError: If values, precision or shape are not what the model takes, or two sites have one name.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, Warning):  # made an error by a filter
            raise
        root = _root(error)
        if _worded(root):
            if root is error or not _raised_in(root).startswith("l0bayes"):
                raise
            raise root from None
        explained = (
            _named_twice(root)
            or names_as_keys(model, args)
            or argument_fault(root, model, ModelArguments(args, dict(kwargs or {})))
        )
        if explained is None:
            raise
        raise explained from error


def _root(error: BaseException) -> Any:
    """The error as it was before Pyro put the shapes of the sites behind it."""
    while (cause := error.__cause__) is not None and str(error).startswith(str(cause)):
        error = cause
    return error


def _innermost(error: BaseException) -> Any:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place


def _raised_in(error: BaseException) -> str:
    place = _innermost(error)
    return str(place.tb_frame.f_globals.get("__name__") or "") if place is not None else ""


def _worded(error: BaseException) -> bool:
    """Whether someone wrote the error for a reader: by ``raise``, and not in torch or Pyro."""
    place = _innermost(error)
    if place is None or _raised_in(error).partition(".")[0] in _LIBRARIES:
        return False
    return bool(place.tb_frame.f_code.co_code[place.tb_lasti] == _RAISE)


def _named_twice(error: Exception) -> Exception | None:
    found = _TWICE.search(str(error))
    if found is None:
        return None
    name = found[1]
    part, _, kind = name.rpartition(".")
    made = f' (spike_and_slab("{part}", ...) makes it)' if kind in ("gate", "slab") and part else ""
    return ValueError(
        f"two sites or plates are named {name!r}{made}. Give each a name of its own, such as "
        f'f"{part or name}{{i}}" in a loop; several weights are one site, by '
        ".expand([p]).to_event(1) on their law, or in a plate"
    )
