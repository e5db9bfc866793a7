r"""Constraints of parameters as plain values, and back."""

from __future__ import annotations

from typing import Any

from torch.distributions import constraints

__all__ = ["constraint_of", "plain_constraint"]

# Constraints with bounds: the attributes that hold them, in the order of their arguments.
_BOUNDED = {
    constraints.greater_than: ("lower_bound",),
    constraints.greater_than_eq: ("lower_bound",),
    constraints.less_than: ("upper_bound",),
    constraints.interval: ("lower_bound", "upper_bound"),
    constraints.half_open_interval: ("lower_bound", "upper_bound"),
}


def plain_constraint(constraint: Any) -> dict[str, Any]:
    """A constraint of ``torch.distributions.constraints`` as plain values.

    Args:
        constraint: The constraint.

    Raises:
        TypeError: If it is none of torch's, or its bounds are no numbers.
    """
    for name in constraints.__all__:
        if getattr(constraints, name) is constraint:
            return {"name": name, "bounds": []}
    for kind, attributes in _BOUNDED.items():
        bounds = [getattr(constraint, name, None) for name in attributes]
        numbers = [float(bound) for bound in bounds if isinstance(bound, int | float)]
        if type(constraint) is kind and len(numbers) == len(bounds):
            return {"name": kind.__name__, "bounds": numbers}
    raise TypeError(f"the constraint {constraint} of a pyro.param cannot be kept in a file")


def constraint_of(plain: dict[str, Any]) -> Any:
    """The constraint again.

    Args:
        plain: From :func:`plain_constraint`.

    Raises:
        ValueError: If there is none of that name.
    """
    name, bounds = plain["name"], plain["bounds"]
    if bounds:
        kinds = {kind.__name__: kind for kind in _BOUNDED}
        if name in kinds:
            return kinds[name](*bounds)
    elif name in constraints.__all__:
        return getattr(constraints, name)
    raise ValueError(f"there is no constraint {name!r}")
