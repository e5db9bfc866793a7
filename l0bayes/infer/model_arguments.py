"""The arguments of a model, positional and by keyword, as one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from torch import Tensor

__all__ = ["ModelArguments"]

Result = TypeVar("Result")


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
            data: A tuple of positional arguments, one tensor, or arguments that were made before.
            kwargs: Keyword arguments; of arguments that were made before they take the place.

        Raises:
            TypeError: If ``data`` is none of these, or ``kwargs`` no mapping.
        """
        if isinstance(data, ModelArguments):
            return cls(data.args, data.kwargs if kwargs is None else dict(kwargs))
        if isinstance(data, Tensor):
            data = (data,)
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
