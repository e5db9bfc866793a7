"""The likelihood of a regression, from its name and options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name, names, registered, supports

__all__ = ["chosen_likelihood"]


def chosen_likelihood(
    likelihood: str | Likelihood, shared: Mapping[str, Any], own: Mapping[str, Any]
) -> Likelihood:
    """The likelihood from the arguments of a model.

    Args:
        likelihood: A name, or the likelihood itself.
        shared: Options that every model takes as arguments. Those that another likelihood has are checked
            and have no effect.
        own: Options that only the likelihood of this name has.

    Raises:
        ValueError: If the name is unknown, there is no regression with it, an option is out of range or
            unknown, or options are given beside a likelihood that has them in itself.
    """
    if isinstance(likelihood, Likelihood):
        return _itself(likelihood, shared, own)
    has = registered(likelihood).options() if likelihood in names() else ()
    found = likelihood_by_name(
        likelihood, "regression", **{name: value for name, value in shared.items() if name in has}, **own
    )
    for name, value in shared.items():
        if name not in has:
            _owner(name)(**{name: value})
    return found


def _itself(likelihood: Likelihood, shared: Mapping[str, Any], own: Mapping[str, Any]) -> Likelihood:
    reason = supports(likelihood, "regression")
    if reason is not None:
        raise ValueError(f"likelihood {likelihood.name!r} is not for regression: {reason}")
    given = [*own, *(name for name, value in shared.items() if value != _default(name))]
    if given:
        raise ValueError(
            f"{given[0]} must be given to the likelihood itself: "
            f"likelihood={type(likelihood).__name__}({given[0]}=...)"
        )
    return likelihood


def _owner(option: str) -> type[Likelihood]:
    """A likelihood that has the option, and checks its range."""
    return next(kind for name in names() if option in (kind := registered(name)).options())


def _default(option: str) -> Any:
    return inspect.signature(_owner(option)).parameters[option].default
