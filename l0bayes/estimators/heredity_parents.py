r"""Which gates are products and powers of others, and which those are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["heredity_parents", "named_monomials"]

_POWER = re.compile(r"I\((?P<inner>.+?)\s*(?:\*\*|\^)\s*(?P<of_inner>\d+)\)|(?P<outer>.+)\^(?P<of_outer>\d+)")


def named_monomials(names: Sequence[str]) -> list[dict[str, int]]:
    """Variables and powers by the names that formulas and scikit-learn's polynomials give.

    Those are ``a:b``, ``a^2``, ``I(a ** 2)``, and ``a b`` of two columns; any other name is a variable.

    Args:
        names: Names of columns.
    """
    known = set(names)
    return [_monomial(name, known) for name in names]


def heredity_parents(
    names: Sequence[str], monomials: Sequence[Mapping[str, int]], heredity: str
) -> list[list[int]]:
    """The parents of every gate: the same product with one power of one of its variables less.

    ``a:b`` has the parents a and b, ``a^3`` has ``a^2``, ``a:b:c`` has ``a:b``, ``a:c`` and ``b:c``.

    Args:
        names: Names of the gates.
        monomials: Variables and powers of each.
        heredity: ``"strong"`` or ``"weak"``, for messages.

    Raises:
        ValueError: If a parent is no gate, or no gate is a product or a power.
    """
    place = {frozenset(one.items()): number for number, one in enumerate(monomials)}
    parents: list[list[int]] = []
    for name, one in zip(names, monomials, strict=True):
        needed = []
        for variable in one if sum(one.values()) > 1 else ():
            less = {key: power - (key == variable) for key, power in one.items()}
            less = {key: power for key, power in less.items() if power}
            number = place.get(frozenset(less.items()))
            if number is None:
                raise ValueError(
                    f"heredity={heredity!r} needs the parents of {name!r}, and {_written(less)!r} is not "
                    "there: add it to the columns (and to always_in where it is to be in every model), take "
                    f"{name!r} out, or leave heredity out"
                )
            needed.append(number)
        parents.append(needed)
    if not any(parents):
        raise ValueError(
            f"heredity={heredity!r} is for products and powers such as a:b and a^2, and there are none among "
            f"{', '.join(list(names)[:8])}{', ...' if len(names) > 8 else ''}"
        )
    return parents


def _monomial(name: str, known: set[str]) -> dict[str, int]:
    parts = name.split(":")
    if len(parts) == 1 and " " in name and all(_base(part)[0] in known for part in name.split(" ")):
        parts = name.split(" ")
    found: dict[str, int] = {}
    for part in parts:
        base, power = _base(part)
        found[base] = found.get(base, 0) + power
    return found


def _base(part: str) -> tuple[str, int]:
    match = _POWER.fullmatch(part)
    if match is None:
        return part, 1
    return (match["inner"] or match["outer"]).strip(), int(match["of_inner"] or match["of_outer"])


def _written(monomial: Mapping[str, int]) -> str:
    return ":".join(name if power == 1 else f"{name}^{power}" for name, power in monomial.items())
