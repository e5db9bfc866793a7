"""Names and arguments that are on their way out: they work, and say once a call what stands for them.

The promise is that of the page on stability: what is public works for two minor versions after the one that
deprecates it. Every use states the version that takes the thing away, and a test fails once that is reached.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from l0bayes.user_warnings import warn_user

__all__ = ["DEPRECATIONS", "Deprecation", "deprecated", "deprecated_names", "renamed_arguments"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Deprecation:
    """A thing that will go.

    Attributes:
        what: Its name, as users write it.
        instead: What to write in its place.
        since: The version that deprecates it, such as ``"0.2"``.
        removed: The version that takes it away, two minor versions later.

    Raises:
        ValueError: If it would go sooner.
    """

    what: str
    instead: str
    since: str
    removed: str

    def __post_init__(self) -> None:
        began, ends = _version(self.since), _version(self.removed)
        if ends < (began[0], began[1] + 2) and ends[0] == began[0]:
            raise ValueError(
                f"{self.what} must work for two minor versions after {self.since}; "
                f"got removed={self.removed!r}"
            )

    def warn(self) -> None:
        """Warn at the user's own line."""
        warn_user(
            f"{self.what} is deprecated since l0bayes {self.since} and goes with {self.removed}: "
            f"use {self.instead}",
            FutureWarning,
        )


DEPRECATIONS: list[Deprecation] = []
"""Everything that is deprecated; a test compares ``removed`` with the version."""


def deprecated(
    instead: str, *, since: str, removed: str, what: str | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator of a function or method that will go.

    Args:
        instead: What to write in its place.
        since: The version that deprecates it.
        removed: The version that takes it away.
        what: Its name; by default that of the function with its module's.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        told = _noted(what or f"{function.__module__}.{function.__qualname__}", instead, since, removed)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            told.warn()
            return function(*args, **kwargs)

        return call

    return decorate


def renamed_arguments(
    names: Mapping[str, str], *, since: str, removed: str
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator of a function whose keyword arguments have new names; the old ones still work.

    Args:
        names: From old names to new ones.
        since: The version that renames them.
        removed: The version that takes the old names away.

    Raises:
        TypeError: By a call that gives both names of one argument.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        told = {
            old: _noted(f"{old}= of {function.__qualname__}", f"{new}=", since, removed)
            for old, new in names.items()
        }

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given: dict[str, Any] = dict(kwargs)
            for old in [name for name in given if name in names]:
                if names[old] in given:
                    raise TypeError(f"{function.__qualname__} got both {old} and {names[old]}, which are one")
                told[old].warn()
                given[names[old]] = given.pop(old)
            renamed: Any = functools.partial(function, *args)
            found: R = renamed(**given)
            return found

        return call

    return decorate


def deprecated_names(
    module: str, names: Mapping[str, tuple[str, Any]], *, since: str, removed: str
) -> Callable[[str], Any]:
    """A module's ``__getattr__`` for names that will go.

    Args:
        module: Name of the module.
        names: From an old name to what to write in its place, and the thing itself.
        since: The version that deprecates them.
        removed: The version that takes them away.

    Example::

        __getattr__ = deprecated_names(__name__, {"old": ("l0bayes.new", new)}, since="0.2", removed="0.4")
    """
    told = {name: _noted(f"{module}.{name}", new, since, removed) for name, (new, _) in names.items()}

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        told[name].warn()
        return names[name][1]

    return get


def _noted(what: str, instead: str, since: str, removed: str) -> Deprecation:
    found = Deprecation(what, instead, since, removed)
    DEPRECATIONS.append(found)
    return found


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
