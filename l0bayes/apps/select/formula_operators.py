r"""Operators of formulas, which refuse what would change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from formulaic.parser import DefaultFormulaParser
from formulaic.parser.parser import DefaultOperatorResolver
from formulaic.parser.types import Operator

from l0bayes.apps.select.expression_checks import function_of
from l0bayes.apps.select.formula_functions import SEVERAL_COLUMNS

__all__ = ["formula_parser"]


def formula_parser() -> Any:
    """A parser of formulas in which no operator does nothing.

    ``- name`` where there is no such term, ``age**2`` and ``age:age`` for a square, and a minus before
    nothing are errors, a ``ValueError`` with what to write in their place.
    """
    return DefaultFormulaParser(operator_resolver=_Resolver())


class _Resolver(DefaultOperatorResolver):  # type: ignore[misc]
    @property
    def operators(self) -> list[Operator]:
        return [_checked(operator) for operator in super().operators]


def _checked(operator: Operator) -> Operator:
    check = _CHECKS.get((operator.symbol, operator.arity))
    if check is None:
        return operator
    to_terms = operator.to_terms

    def checked(*terms: Any) -> Any:
        check(*terms)
        return to_terms(*terms)

    return Operator(
        operator.symbol,
        arity=operator.arity,
        precedence=operator.precedence,
        associativity=operator.associativity,
        fixity=operator.fixity,
        to_terms=checked,
    )


def _of_difference(left: Any, right: Any) -> None:
    # The intercept may be taken away twice: "0 + a - 1" says so two times.
    missing = [str(term) for term in right if term not in left and term.degree]
    if missing:
        raise ValueError(
            f"formula takes away {', '.join(missing)}, which it does not have at that place: it has "
            f"{', '.join(str(term) for term in left if term.degree) or 'no term'}. A difference of two "
            "columns is I(a - b)"
        )
    numbers = [str(term) for term in right if not term.degree and str(term) != "1"]
    if numbers:
        raise ValueError(f"formula takes away {numbers[0]}: arithmetic is written as I(a - {numbers[0]})")


def _of_minus(terms: Any) -> None:
    raise ValueError(
        f"formula has '-' before {', '.join(map(str, terms)) or 'nothing'} and nothing before it, from which "
        "to take it away: the negative of a column is I(-a), and '- 1' stands behind the terms"
    )


def _of_power(terms: Any, power: Any) -> None:
    if len(terms) == 1 and str(next(iter(power), "1")) != "1":
        (one,), exponent = terms, next(iter(power))
        if _is_made(one):
            raise ValueError(
                f"{one}**{exponent} in a formula means the products of {one} with itself, which are {one}: "
                "leave the power out. A spline, poly() or a factor has columns of its own, and no power"
            )
        raise ValueError(
            f"{one}**{exponent} in a formula means the products of {one} with itself, which are "
            f"{one}: write I({one}**{exponent}) for the power, or poly({one}, 2) for {one} and its square, "
            f"of a column of numbers; of a factor, {one}"
        )


def _of_product(left: Any, right: Any) -> None:
    if len(left) == len(right) == 1 and next(iter(left)) == next(iter(right)):
        one = next(iter(left))
        if one.degree and _is_made(one):
            raise ValueError(f"the product of {one} with itself is {one} in a formula: write it once")
        if one.degree:
            raise ValueError(
                f"the product of {one} with itself is {one} in a formula: write I({one}**2) for its square, "
                f"or poly({one}, 2) for {one} and its square, of a column of numbers; of a factor, {one}"
            )


def _of_nesting(inner: Any, outer: Any) -> None:
    raise ValueError(
        "formula has in, or %in%, of which it is not clear what it is to mean: write a:b for the product "
        "of a and b alone, a*b for both and their product, and a + b for both"
    )


def _is_made(term: Any) -> bool:
    """Whether a function makes several columns of a term, such as a spline."""
    return any(
        factor.eval_method.value == "python" and function_of(factor.expr) in SEVERAL_COLUMNS
        for factor in term.factors
    )


_CHECKS: dict[tuple[str, int], Callable[..., None]] = {
    ("-", 2): _of_difference,
    ("-", 1): _of_minus,
    ("**", 2): _of_power,
    ("^", 2): _of_power,
    (":", 2): _of_product,
    ("*", 2): _of_product,
    ("in", 2): _of_nesting,
}
