"""The arguments of a model, positional and by keyword, as one thing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from torch import Tensor

__all__ = ["ModelArguments", "as_arguments", "names_as_keys"]

Result = TypeVar("Result")


def as_arguments(batch: Any) -> tuple[Any, ...]:
    """A batch, as loaders give them, as the positional arguments of a model.

    Args:
        batch: A tuple or list of arguments, or a single one: a tensor, a dictionary, anything.
    """
    if isinstance(batch, Mapping):  # of any class, which torch may not know how to take apart
        return (batch if isinstance(batch, dict) else dict(batch),)
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def names_as_keys(model: Callable[..., Any], args: tuple[Any, ...]) -> Exception | None:
    """What is to be said where the only argument is a dictionary of the model's arguments by name.

    Args:
        model: The model.
        args: Its positional arguments.
    """
    if len(args) != 1 or not isinstance(args[0], Mapping):
        return None
    names = _names_of(model)
    if not args[0] or not all(key in names for key in args[0]):
        return None
    return TypeError(
        f"the data are a dictionary of {', '.join(map(repr, args[0]))}, which are arguments of the model "
        f"by name; give them as a tuple, ({', '.join(names)}), as a loader's collate_fn can, or as "
        "kwargs where they are the same at every step"
    )


def _names_of(model: Callable[..., Any]) -> list[str]:
    try:
        return [*inspect.signature(getattr(model, "forward", model)).parameters]
    except (TypeError, ValueError):
        return []


@dataclass(frozen=True)
class ModelArguments:
    """What a model and its guide are called with.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any, kwargs: Mapping[str, Any] | None = None) -> Self:
        """Arguments as they are given to functions of this library.

        Args:
            data: A tuple of positional arguments, a tensor or dictionary that is the only one, or arguments
                that were made before.
            kwargs: Keyword arguments; of arguments that were made before they take the place.

        Raises:
            TypeError: If ``data`` is none of these, or ``kwargs`` no mapping.
        """
        if isinstance(data, ModelArguments):
            return cls(data.args, data.kwargs if kwargs is None else dict(kwargs))
        if isinstance(data, Tensor | Mapping):
            data = as_arguments(data)
        if not isinstance(data, tuple):
            raise TypeError(
                f"data must be a tuple of all the model's arguments; got {type(data).__name__}. "
                "What was fitted on a loader is read on all data: give them as data=(x, y, ...)"
            )
        if not isinstance(kwargs, Mapping | None):
            raise TypeError(f"kwargs must be a mapping of names to values, got {type(kwargs).__name__}")
        return cls(data, dict(kwargs or {}))

    def call(self, function: Callable[..., Result]) -> Result:
        """Call a function with them.

        Args:
            function: A model, a guide, or anything that takes the same arguments.
        """
        return function(*self.args, **self.kwargs)
