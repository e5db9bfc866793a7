"""Likelihoods by name: those of the package, and those that users register."""

from __future__ import annotations

import difflib
import inspect
import re
from typing import Any, Literal, TypeVar

from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_words import Words

__all__ = [
    "Use",
    "laws_for_selection",
    "likelihood_by_name",
    "likelihood_of_law",
    "names",
    "register",
    "registered",
    "supports",
]

Use = Literal["regression", "network", "derivatives", "selection", "draws"]
"""What a likelihood may support, by its methods ``supports_...``."""

Kind = TypeVar("Kind", bound=type[Likelihood])
_KINDS: dict[str, type[Likelihood]] = {}


def register(kind: Kind) -> Kind:
    """Make a likelihood known by its name, everywhere in the package. Also a decorator of a class.

    Args:
        kind: A class of :class:`~l0bayes.likelihoods.likelihood.Likelihood` whose options all have defaults.

    Returns:
        The class.

    Raises:
        TypeError: If it is no such class, methods are missing, or its words are no
            :class:`~l0bayes.likelihoods.likelihood_words.Words`.
        ValueError: If its name is none, or taken by another class.
    """
    if not (inspect.isclass(kind) and issubclass(kind, Likelihood)):
        raise TypeError(f"kind must be a class of Likelihood, got {kind!r}")
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"name of {kind.__name__} must be of small letters, digits and underscores; got {name!r}"
        )
    taken = _KINDS.get(name)
    # The same class again is a file that was run again.
    if taken is not None and (taken.__module__, taken.__qualname__) != (kind.__module__, kind.__qualname__):
        raise ValueError(
            f"name {name!r} of {kind.__name__} is taken by {taken.__module__}.{taken.__qualname__}"
        )
    missing = sorted(getattr(kind, "__abstractmethods__", ()))
    if missing:
        raise TypeError(f"{kind.__name__} must define {', '.join(missing)}")
    if not isinstance(kind.words, Words):
        raise TypeError(
            f"words of {kind.__name__} must be Words(kind=..., formula=..., effects=..., summary=...); "
            f"got {kind.words!r}"
        )
    required = [
        option
        for option in kind.options()
        if inspect.signature(kind).parameters[option].default is inspect.Parameter.empty
    ]
    if required:
        raise TypeError(f"options of {kind.__name__} must have defaults; {', '.join(required)} has none")
    _KINDS[name] = kind
    return kind


def registered(name: str) -> type[Likelihood]:
    """The class of a name.

    Args:
        name: The name.

    Raises:
        ValueError: If it is unknown.
    """
    return _kind(name, None)


def names(use: Use | None = None) -> list[str]:
    """Names of the likelihoods, in the order in which they were registered.

    Args:
        use: Only of those that support this, with their default options.
    """
    return [name for name, kind in _KINDS.items() if use is None or supports(kind(), use) is None]


def supports(likelihood: Likelihood, use: Use) -> str | None:
    """Why a likelihood does not support something, if so.

    Args:
        likelihood: The likelihood.
        use: What for.
    """
    asked = {
        "regression": likelihood.supports_regression,
        "network": likelihood.supports_network,
        "derivatives": likelihood.supports_derivatives,
        "selection": likelihood.supports_selection,
        "draws": likelihood.supports_draws,
    }
    return asked[use]()


def likelihood_by_name(name: str, use: Use | None = None, /, **options: Any) -> Likelihood:
    """A likelihood by its name.

    Args:
        name: The name.
        use: What it must support.
        **options: Arguments of its constructor.

    Raises:
        ValueError: If the name is unknown, an option is unknown or out of range, or the likelihood does not
            support the use.
    """
    kind = _kind(name, use)
    unknown = [option for option in options if option not in kind.options()]
    if unknown:
        has = f"it has {', '.join(kind.options())}" if kind.options() else "it has none"
        raise ValueError(f"the {name} likelihood has no option {unknown[0]!r}; {has}")
    likelihood = kind(**options)
    reason = None if use is None else supports(likelihood, use)
    if reason is not None:
        raise ValueError(f"likelihood {name!r} is not for {use}: {reason}")
    return likelihood


def likelihood_of_law(law: Any) -> type[Likelihood] | None:
    """The likelihood that reads a Pyro law: the one whose type is nearest to the law's own, if any.

    Args:
        law: The law, out of ``to_event`` and ``mask``.
    """
    for base in type(law).__mro__:
        for kind in _KINDS.values():
            if base in kind.laws:
                return kind
    return None


def laws_for_selection() -> list[str]:
    """Names of the Pyro laws of likelihoods that support selection with suitable options."""
    return [
        law.__name__
        for kind in _KINDS.values()
        if kind.conjugate or kind.log_concave or kind.has_bound
        for law in kind.laws
    ]


def _kind(name: str, use: Use | None) -> type[Likelihood]:
    if isinstance(name, str) and name in _KINDS:
        return _KINDS[name]
    known = names(use)
    near = difflib.get_close_matches(name, known, 1) if isinstance(name, str) else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"likelihood must be one of {', '.join(known)}; got {name!r}{hint}")
