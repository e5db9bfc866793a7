r"""The arguments ``always_in`` and ``heredity``, as they are given and as the engines take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.estimators.heredity_parents import heredity_parents, named_monomials
from l0bayes.selection.problem.gate_restriction import GateRestriction

__all__ = ["always_gates", "check_gate_rules", "gate_restriction"]


def check_gate_rules(always_in: Any, heredity: Any) -> None:
    """Refuse what is none of them.

    Args:
        always_in: Names or positions of columns, or ``None``.
        heredity: ``"strong"``, ``"weak"`` or ``None``.

    Raises:
        ValueError: By argument.
    """
    if heredity is not None:
        validate.one_of(("strong", "weak"), " or None", heredity=heredity)
    if always_in is not None and (isinstance(always_in, str) or not isinstance(always_in, Sequence)):
        raise ValueError(f"always_in must be a list of names or positions of columns, got {always_in!r}")


def always_gates(
    always_in: Sequence[Any] | None, names: Sequence[str], gates: Sequence[int], gate_names: Sequence[str]
) -> Tensor:
    """Which gates are always open, shape ``(G,)``.

    Args:
        always_in: Names of columns or of gates, or positions of columns.
        names: Names of the columns.
        gates: Gate of each.
        gate_names: Names of the gates.

    Raises:
        ValueError: If there is no such column, by name.
    """
    always = torch.zeros(len(gate_names), dtype=torch.bool)
    for one in always_in or ():
        if isinstance(one, Integral) and not isinstance(one, bool):
            if not 0 <= int(one) < len(names):
                raise ValueError(f"always_in holds the position {one}, and there are {len(names)} columns")
            always[gates[int(one)]] = True
        elif one in gate_names:
            always[list(gate_names).index(one)] = True
        elif one in names:
            always[gates[list(names).index(one)]] = True
        else:
            listed = ", ".join(list(gate_names)[:12]) + (", ..." if len(gate_names) > 12 else "")
            raise ValueError(f"always_in holds {one!r}, which is no column; there are {listed}")
    return always


def gate_restriction(
    always: Tensor, heredity: Any, gate_names: Sequence[str], monomials: Sequence[Mapping[str, int]] | None
) -> GateRestriction | None:
    """The models that have prior probability; ``None`` if all have.

    Args:
        always: Which gates are always open, shape ``(G,)``.
        heredity: ``"strong"``, ``"weak"`` or ``None``.
        gate_names: Names of the gates.
        monomials: Variables and powers of each gate; by its name if ``None``.

    Raises:
        ValueError: If a product lacks its parents, or all gates are always open.
    """
    if heredity is None:
        return GateRestriction(always) if bool(always.any()) else None
    monomials = named_monomials(gate_names) if monomials is None else monomials
    parents = heredity_parents(gate_names, monomials, heredity)
    for child in always.nonzero()[:, 0].tolist():
        lacking = [gate_names[one] for one in parents[child] if not always[one]]
        if lacking and (heredity == "strong" or len(lacking) == len(parents[child])):
            others = "".join(f", and {one!r}" for one in lacking[1:]) if heredity == "strong" else ""
            raise ValueError(
                f"always_in holds {gate_names[child]!r}, and under heredity={heredity!r} it must hold its "
                f"parent {lacking[0]!r} too{others}: add what is lacking to always_in, or leave heredity out"
            )
    return GateRestriction(always, parents, heredity)
