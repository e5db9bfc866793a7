r"""Whether a record of a gate family says all that its readers ask, each thing of the kind it must be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from inspect import isclass
from typing import Any

from torch import Tensor
from torch.distributions.constraints import Constraint

from l0bayes.distributions import GateLaw
from l0bayes.gate_families.family_record import GateFamily, GateParameter

__all__ = ["check_record", "check_start", "tried"]


def check_record(family: Any) -> None:
    """Refuse what is no record, and a record with fields of another kind.

    Args:
        family: What is to be registered.

    Raises:
        TypeError: If it is no record, or a field is of another type.
        ValueError: If a field has another value than it may.
    """
    if not isinstance(family, GateFamily):
        raise TypeError(
            f"family must be a GateFamily, got {family!r}; gate_family(name) gives the record of a name"
        )
    name = family.name
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"name of a gate family must be an identifier, such as my_law; got {name!r}")
    for field, value in (("label", family.label), ("words", family.words)):
        if not isinstance(value, str) or not value.strip():
            raise TypeError(f"{field} of gate family {name!r} must be text; got {value!r}")
    _check_law(name, family.law)
    _check_parameters(name, family.parameters)
    _check_functions(family)
    _check_guide(name, family.guide)
    _check_settings(family)


def _check_law(name: str, law: Any) -> None:
    if not (isclass(law) and issubclass(law, GateLaw)):
        raise TypeError(f"law of gate family {name!r} must be a class of GateLaw; got {law!r}")
    if missing := sorted(getattr(law, "__abstractmethods__", ())):
        raise TypeError(f"law of gate family {name!r}: {law.__name__} must define {', '.join(missing)}")


def _check_parameters(name: str, parameters: Any) -> None:
    if not isinstance(parameters, tuple | list) or not parameters:
        raise TypeError(
            f"parameters of gate family {name!r} must be a tuple of at least one GateParameter, such as "
            f"(GateParameter('location'),); got {parameters!r}"
        )
    for one in parameters:
        if not isinstance(one, GateParameter):
            raise TypeError(f"parameters of gate family {name!r} must be of GateParameter; got {one!r}")
        if not isinstance(one.name, str) or not one.name.isidentifier():
            raise ValueError(
                f"parameters of gate family {name!r} must have identifiers as names; got {one.name!r}"
            )
        if not isinstance(one.constraint, Constraint):
            raise TypeError(
                f"constraint of {one.name!r} of gate family {name!r} must be one of "
                f"torch.distributions.constraints; got {one.constraint!r}"
            )
    names = [one.name for one in parameters]
    if len({*names}) < len(names):
        raise ValueError(f"parameters of gate family {name!r} must have different names; got {names}")


def _check_functions(family: GateFamily) -> None:
    given: dict[str, Any] = {"start": family.start, "build": family.build, "unit": family.unit}
    what = {
        "start": "a function from activity logits to parameters by name",
        "build": "a function from the parameters to a law, or None for the law itself",
        "unit": "a function from a temperature to a unit, or None",
    }
    for field, value in given.items():
        if not callable(value) and (field == "start" or value is not None):
            raise TypeError(f"{field} of gate family {family.name!r} must be {what[field]}; got {value!r}")


def _check_guide(name: str, guide: Any) -> None:
    module, _, cls = guide.partition(":") if isinstance(guide, str) else ("", "", "")
    if not (isclass(guide) or (module and cls.isidentifier())):
        raise TypeError(
            f"guide of gate family {name!r} must be a class, or text such as 'my_module:AutoMine'; "
            f"got {guide!r}"
        )


def _check_settings(family: GateFamily) -> None:
    name, temperature, settings = family.name, family.temperature, family.settings
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise TypeError(
            f"settings of gate family {name!r} must be a dictionary from names to defaults; got {settings!r}"
        )
    if temperature is not None:
        number = isinstance(temperature, float | int) and not isinstance(temperature, bool)
        if not number or not 0.0 < temperature < math.inf:
            raise ValueError(
                f"temperature of gate family {name!r} must be positive, or None without one; "
                f"got {temperature!r}"
            )
    if family.only_start_has_temperature and temperature is None:
        raise ValueError(
            f"only_start_has_temperature of gate family {name!r} must be False, since it has no temperature"
        )
    if family.unit is not None and not family.has_temperature:
        raise ValueError(f"unit of gate family {name!r} must be None, since its laws have no temperature")
    estimators: Any = family.estimators
    if not isinstance(estimators, tuple | list) or not all(isinstance(one, str) for one in estimators):
        raise TypeError(f"estimators of gate family {name!r} must be a tuple of names; got {estimators!r}")


def tried(what: str, run: Callable[[], Any]) -> Any:
    """What a function of a record returns.

    Args:
        what: What the function is called.
        run: Calls it.

    Raises:
        ValueError: If it fails, with its own error.
    """
    try:
        return run()
    except Exception as error:
        raise ValueError(f"{what} failed with {type(error).__name__}: {error}") from error


def check_start(family: GateFamily, start: Any, activity_logits: Tensor) -> None:
    """Refuse a start that does not give every parameter a tensor.

    Args:
        family: The record.
        start: What its start returned.
        activity_logits: At these activities.

    Raises:
        ValueError: If parameters are missing, or are no tensors of a shape that broadcasts.
    """
    wanted = [parameter.name for parameter in family.parameters]
    if list(start) != wanted:
        raise ValueError(
            f"start of gate family {family.name!r} must give {wanted}, in this order; got {list(start)}"
        )
    for name, value in start.items():
        if not isinstance(value, Tensor) or value.shape not in (activity_logits.shape, ()):
            raise ValueError(
                f"start of gate family {family.name!r} must give {name!r} as a tensor of the shape of the "
                f"activity logits; got {value!r}"
            )
