"""The gate families by name, those from outside the package too."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch.distributions import constraints

from l0bayes import validate
from l0bayes.gate_families.bernoulli_family import BERNOULLI
from l0bayes.gate_families.concrete_dropout_family import CONCRETE_DROPOUT
from l0bayes.gate_families.concrete_family import CONCRETE
from l0bayes.gate_families.family_record import GateFamily
from l0bayes.gate_families.hard_concrete_family import HARD_CONCRETE
from l0bayes.gate_families.hard_kumaraswamy_family import HARD_KUMARASWAMY
from l0bayes.gate_families.record_checks import check_record, check_start, tried
from l0bayes.gate_families.rectified_normal_family import RECTIFIED_NORMAL

__all__ = ["DEFAULT_GATE_LAW", "GATE_FAMILIES", "gate_family", "register_family"]

_SHIPPED = (HARD_CONCRETE, CONCRETE, RECTIFIED_NORMAL, HARD_KUMARASWAMY, BERNOULLI, CONCRETE_DROPOUT)
_BY_NAME = {family.name: family for family in _SHIPPED}

DEFAULT_GATE_LAW = HARD_CONCRETE.name
"""The family that is taken where none is named."""

GATE_FAMILIES: Mapping[str, GateFamily] = MappingProxyType(_BY_NAME)
"""The record of every family by its name, in the order of registration; what ``gate_law`` may be."""

_RESERVED = {"guide"}  # what a gradient report calls the guide's own law
_TESTED = torch.tensor([-3.0, 0.0, 2.0], dtype=torch.float64)


def register_family(family: GateFamily) -> GateFamily:
    r"""Add a family, which every argument ``gate_law`` takes from then on.

    Args:
        family: Its record.

    Returns:
        The record.

    Raises:
        TypeError: If it is no record, or a field of it is of another type than it must be.
        ValueError: If the name is taken or no identifier, start or law fail when they are tried, the first
            parameter is not on the whole real line, a parameter is missing from the start, gates that start
            at :math:`\ell` have another activity logit, or draws carry no gradient and are not binary or no
            estimators are named.
    """
    check_record(family)
    name = family.name
    if name in _BY_NAME or name in _RESERVED:
        raise ValueError(f"name of a gate family must be new; {name!r} is taken")
    if not family.is_relaxed and not family.law.is_binary:
        raise ValueError(
            f"gate family {name!r} must have draws with a gradient, or binary ones: "
            f"{family.law.__name__} has neither"
        )
    if not family.is_relaxed and not family.estimators:
        raise ValueError(
            f"gate family {name!r} must name estimators: draws of {family.law.__name__} carry no gradient"
        )
    if family.parameters[0].constraint is not constraints.real:
        raise ValueError(
            f"gate family {name!r} must have a first parameter on the whole real line, by which its gates "
            f"open; {family.parameters[0].name!r} has the constraint {family.parameters[0].constraint}"
        )
    start = tried(f"start of gate family {name!r}", lambda: family.start_at(_TESTED))
    check_start(family, start, _TESTED)
    found = tried(f"the law of gate family {name!r}", lambda: family.law_of(start).activity_logits)
    if not torch.allclose(found.expand(_TESTED.shape).double(), _TESTED, rtol=0.0, atol=1e-4):
        raise ValueError(
            f"start of gate family {name!r} must give gates the activity logits asked for; "
            f"got {found.tolist()} for {_TESTED.tolist()}"
        )
    _BY_NAME[name] = family
    return family


def gate_family(gate_law: str) -> GateFamily:
    """The record of a family.

    Args:
        gate_law: Its name.

    Raises:
        ValueError: If there is none of this name.
    """
    validate.one_of(_BY_NAME, gate_law=gate_law)
    return _BY_NAME[gate_law]
