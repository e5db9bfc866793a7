r"""Priors of a sparse network's gates and slabs, from what the user gave by globs."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, Literal, get_args

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import nn

from l0bayes import validate
from l0bayes.distributions import Gate, L0Penalty
from l0bayes.models.network_precision import full_precision
from l0bayes.network import GateSpec
from l0bayes.sites import Inclusion

__all__ = ["PenaltyUnit", "PerModule", "gate_priors", "learned_scales", "slab_priors"]

PenaltyUnit = Literal["gate", "parameter"]
PerModule = Mapping[str, Any]


def gate_priors(
    specs: Mapping[str, GateSpec],
    inclusion: Any,
    expected_active: Any,
    penalty: Any,
    penalty_per: str,
    names: Mapping[str, tuple[str, ...]] | None = None,
) -> dict[str, Inclusion]:
    """The prior of every gate site.

    Args:
        specs: Gate sites by name.
        inclusion: A prior for all, or a mapping from globs over modules; ``None`` for 0.5.
        expected_active: Likewise, by the expected number of open gates a site.
        penalty: Likewise, by a penalty in nats.
        penalty_per: Whether a penalty is for a ``"gate"`` or for each ``"parameter"`` that it multiplies.
        names: All names of modules that have several, by the first; globs may mean any of them.

    Raises:
        ValueError: If more than one of the three is given, a gated module is given no prior, or a value is
            out of range.
    """
    given = {"inclusion": inclusion, "expected_active": expected_active, "penalty": penalty}
    chosen = validate.given(**given) or {"inclusion": 0.5}
    if len(chosen) > 1:
        raise ValueError(f"give one of {', '.join(given)}; got {' and '.join(chosen)}")
    validate.one_of(get_args(PenaltyUnit), penalty_per=penalty_per)
    ((what, value),) = chosen.items()
    if isinstance(value, Mapping):
        known = {spec.owner: _names(names, spec.owner) for spec in specs.values()}
        missing = [own for own, several in known.items() if not any(_fits(several, p) for p in value)]
        if missing:
            raise ValueError(f"{what} gives no prior for the gated modules {missing}")
    priors: dict[str, Inclusion] = {}
    for name, spec in specs.items():
        one = _match(value, _names(names, spec.owner), what) if isinstance(value, Mapping) else value
        if what == "penalty":
            validate.not_negative(penalty=one)
            priors[name] = L0Penalty(float(one) * (spec.weights if penalty_per == "parameter" else 1.0))
        elif what == "expected_active":
            count = torch.Size(spec.shape).numel()
            if not 0 < one < count:
                raise ValueError(
                    f"expected_active must lie strictly between 0 and the {count} gates of {name!r}; "
                    f"got {one!r}"
                )
            priors[name] = Gate(one / count)
        else:
            priors[name] = one
    return priors


def slab_priors(
    given: Any, slabs: Iterable[str], names: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, TorchDistributionMixin | None]:
    """The prior of every slab; ``None`` for a Normal whose scale is learned.

    Args:
        given: A scalar distribution, a mapping from globs over parameter names, ``"learned"``, or ``None``
            for ``Normal(0, 1)``.
        slabs: Names of the parameters that are slabs.
        names: All names of parameters that have several, by the first; globs may mean any of them.

    Raises:
        TypeError: If it is of another type.
        ValueError: If it is another word, or gives a slab no prior.
    """
    if given is None:
        given = dist.Normal(0.0, 1.0)
    if isinstance(given, str):
        if given != "learned":
            raise ValueError(f"slab must be a distribution, a mapping or 'learned'; got {given!r}")
        return dict.fromkeys(slabs)
    if isinstance(given, Mapping):
        return {name: _match(given, _names(names, name), "slab") for name in slabs}
    if not isinstance(given, TorchDistributionMixin):
        raise TypeError(
            f"slab must be a Pyro distribution, a mapping or 'learned'; got {type(given).__name__}"
        )
    return dict.fromkeys(slabs, given)


def learned_scales(net: nn.Module, names: Iterable[str]) -> dict[str, nn.Parameter]:
    """Where the log scale of a Normal starts that is learned: at the size of the parameter's own entries.

    Args:
        net: The network.
        names: Names of the parameters.
    """
    own = {name: full_precision(attrgetter(name)(net).detach()) for name in names}
    return {
        name: nn.Parameter(value.square().mean().sqrt().clamp(min=1e-3).log()) for name, value in own.items()
    }


def _names(names: Mapping[str, tuple[str, ...]] | None, name: str) -> tuple[str, ...]:
    return (names or {}).get(name, (name,))


def _fits(names: tuple[str, ...], pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _match(given: Mapping[str, Any], names: tuple[str, ...], what: str) -> Any:
    for name in names:
        if name in given:
            return given[name]
    for pattern, value in given.items():
        if _fits(names, pattern):
            return value
    raise ValueError(f"{what} gives no prior for {names[0]!r}; its keys are {sorted(given)}")
