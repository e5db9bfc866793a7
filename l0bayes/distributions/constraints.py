"""The support of a gate: the closed unit interval, atoms included."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor
from torch.distributions import biject_to, constraints, transform_to

__all__ = ["GateInterval", "finite", "open_unit_interval"]


class GateInterval(constraints.Constraint):
    """Values in ``[0, 1]``, where 0 and 1 may carry probability mass.

    It is a class of its own, not torch's ``unit_interval``, because no bijection from the real line
    reaches the atoms: an ``AutoNormal`` on ``unit_interval`` would be accepted and be wrong.
    Asking for such a bijection raises a ``ValueError`` that names the gate's site.

    Args:
        site: Name of the sample site, for error messages.
    """

    def __init__(self, site: str | None = None) -> None:
        self.site = site
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Elementwise test of membership; same shape as ``value``."""
        return (value >= 0) & (value <= 1)


class _OpenUnitInterval(constraints.Constraint):
    def check(self, value: Tensor) -> Tensor:
        return (value > 0) & (value < 1)

    def __repr__(self) -> str:
        return "a probability strictly between 0 and 1"


open_unit_interval = _OpenUnitInterval()
"""Probabilities strictly between 0 and 1."""


class _Finite(constraints.Constraint):
    def check(self, value: Tensor) -> Tensor:
        return torch.isfinite(value)

    def __repr__(self) -> str:
        return "a finite number"


finite = _Finite()
"""Finite numbers; torch's own ``real`` admits the infinities."""


def _refuse(constraint: GateInterval) -> NoReturn:
    site = f"site {constraint.site!r}" if constraint.site else "a site"
    raise ValueError(
        f"{site} is a gate with mass at exactly 0 and 1, so no bijection from the real line covers "
        "it and AutoNormal or a similar guide cannot be put on it. Use a gate guide such as "
        "l0bayes.guides.AutoHardConcrete, or hide the gates with pyro.poutine.block."
    )


biject_to.register(GateInterval)(_refuse)
transform_to.register(GateInterval)(_refuse)
