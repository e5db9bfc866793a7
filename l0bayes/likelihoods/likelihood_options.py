"""Options of a likelihood: arguments of its constructor, each an attribute of the same name."""

from __future__ import annotations

import copy
import inspect
from typing import Any, Self

__all__ = ["Options"]


class Options:
    """A class whose constructor's arguments are attributes."""

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Names of the constructor's arguments."""
        if cls.__init__ is object.__init__:
            return ()
        return tuple(inspect.signature(cls).parameters)

    @property
    def settings(self) -> dict[str, Any]:
        """The options and their values."""
        return {name: getattr(self, name) for name in self.options()}

    def changed(self, **options: Any) -> Self:
        """A copy with other options, which are not checked: it may be made while a graph is captured.

        Args:
            **options: Values by name.
        """
        new = copy.copy(self)
        for name, value in options.items():
            setattr(new, name, value)
        return new

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({options})"
